"""Processes in sessions of their own: Ctrl-C does not reach them, and what they started can be found."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil


def start(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` as the leader of a new session."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


@contextmanager
def ending(process: subprocess.Popen[bytes], by: signal.Signals) -> Iterator[subprocess.Popen[bytes]]:
    """The process for as long as the block lasts; nothing of its session is left afterwards."""
    with process:  # which closes its pipes
        try:
            yield process
        finally:
            end(process.pid, by)


def end(leader: int, by: signal.Signals = signal.SIGTERM, grace: float = 20) -> None:
    """Ask the leader of a session to end; when it has, or after `grace` seconds, kill what is left.

    The rest can outlive the leader: the engine moves its plugins to process groups of their own, and they
    stay when it is killed.
    """
    try:
        process = psutil.Process(leader)
        process.send_signal(by)
        process.wait(grace)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass  # it has ended already, or it is killed with the rest
    left = members(leader)
    for member in left:
        with suppress(psutil.NoSuchProcess):  # it has ended since
            member.kill()
    psutil.wait_procs(left)


def members(leader: int) -> list[psutil.Process]:
    """The processes that are alive in the session of `leader`."""
    return [process for process in psutil.process_iter() if session_of(process) == leader]


def session_of(process: psutil.Process) -> int | None:
    """The session of a process; none when it has ended."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return None
