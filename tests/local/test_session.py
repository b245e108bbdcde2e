import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local.session import end, ending, members, start

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], process_group=0, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def python(program: str, folder: Path) -> subprocess.Popen[bytes]:
    return start([sys.executable, "-c", program], cwd=folder, env=os.environ, stdout=subprocess.PIPE)


def first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    return process.stdout.readline().decode().strip()


def test_what_a_leader_leaves_in_another_process_group_is_ended_with_it(tmp_path: Path) -> None:
    with ending(python(PARENT, tmp_path), by=signal.SIGTERM) as leader:
        child = int(first_line(leader))
        assert {process.pid for process in members(leader.pid)} == {leader.pid, child}
    assert members(leader.pid) == []
    assert not psutil.pid_exists(child)


def test_what_a_leader_that_was_killed_left_behind_is_ended_too(tmp_path: Path) -> None:
    with ending(python(PARENT, tmp_path), by=signal.SIGTERM) as leader:
        child = int(first_line(leader))
        leader.kill()
        leader.wait()
        assert psutil.pid_exists(child)
    assert not psutil.pid_exists(child)


def test_a_leader_that_does_not_heed_the_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    leader = python(STUBBORN, tmp_path)
    assert first_line(leader) == "up"
    end(leader.pid, signal.SIGTERM, grace=0.2)
    with leader:
        assert members(leader.pid) == []


def test_an_error_within_the_block_ends_the_session_and_goes_on(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="within"),
        ending(python(PARENT, tmp_path), by=signal.SIGTERM) as leader,
    ):
        first_line(leader)
        raise RuntimeError("within")
    assert members(leader.pid) == []


def test_what_ends_before_it_is_killed_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with python("", tmp_path) as process:
        ended = psutil.Process(process.pid)
    monkeypatch.setattr("local.session.members", lambda _leader: [ended])
    end(process.pid)
