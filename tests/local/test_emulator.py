import io
import sys
import threading
import zipfile
from pathlib import Path

import psutil
import pytest

from local.emulator import Account, Emulator, EmulatorError, free_port

REGION = "eu-south-1"


def process_of(emulator: Emulator) -> psutil.Process:
    port = int(emulator.account.endpoint.rpartition(":")[2])
    [process] = [
        child
        for child in psutil.Process().children()
        if child.cmdline()[-2:] == ["-m", "ministack"] and child.environ()["GATEWAY_PORT"] == str(port)
    ]
    return process


def test_an_account_gives_an_sdk_the_emulator_and_nothing_of_the_user_s() -> None:
    assert Account("http://127.0.0.1:4566", REGION).environment() == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_an_emulator_that_ends_at_once_is_an_error_with_the_tail_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho port is taken; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    emulator = Emulator(tmp_path, REGION)
    emulator.start()
    with pytest.raises(EmulatorError, match="ended with exit code 3:\nport is taken"):
        emulator.wait(threading.Event())
    emulator.stop()


def test_an_emulator_that_does_not_answer_is_an_error_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\ntrap '' TERM\necho still loading\nwhile true; do sleep 1; done\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    emulator = Emulator(tmp_path, REGION)
    emulator.start()
    with pytest.raises(EmulatorError, match=r"did not answer within 0\.5 s:\nstill loading"):
        emulator.wait(threading.Event(), seconds=0.5)
    emulator.stop(seconds=0.2)
    with pytest.raises(EmulatorError, match="exit code -9"):
        emulator.check()


def test_waiting_for_an_emulator_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    emulator = Emulator(tmp_path, REGION)
    assert not emulator.wait(stopped)
    emulator.stop()


def test_a_free_port_can_be_listened_on() -> None:
    assert 0 < free_port() < 65536


@pytest.mark.emulator
@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed first"])
def test_no_process_of_an_emulator_survives_it(tmp_path: Path, killed: bool) -> None:
    emulator = Emulator(tmp_path, REGION)
    emulator.start()
    assert emulator.wait(threading.Event())
    process = process_of(emulator)
    start_a_worker(emulator.account)
    workers = process.children(recursive=True)
    assert workers, "invoking a function starts a worker process"
    if killed:
        process.kill()
        process.wait()
    emulator.stop()
    psutil.wait_procs([process, *workers], timeout=20)
    assert [one for one in [process, *workers] if is_alive(one)] == []
    with pytest.raises(EmulatorError, match="ended with exit code"):
        emulator.check()


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def start_a_worker(account: Account) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "def handle(event, context):\n    return 'hello'\n")
    functions = account.client("lambda")
    functions.create_function(
        FunctionName="hello",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/hello",
        Handler="handler.handle",
        Code={"ZipFile": code.getvalue()},
    )
    assert functions.invoke(FunctionName="hello")["Payload"].read() == b'"hello"'
