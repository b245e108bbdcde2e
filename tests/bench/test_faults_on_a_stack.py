import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.stack import Stack, find
from tests.engine import CHECKOUT

pytestmark = [pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]


def call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The local stack with two tasks, and slots for the six that two definitions of three make."""
    former = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    try:
        up = call("local", "up", "--config", "tasksMin=2", "--config", "tasksMax=3")
        assert up.returncode == 0, up.stderr
        yield find("local")
    finally:
        call("local", "down")
        del os.environ["XDG_STATE_HOME"]
        if former:
            os.environ["XDG_STATE_HOME"] = former


@pytest.fixture(autouse=True)
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setattr(sys.modules[__name__], "RESULTS", tmp_path)


RESULTS = Path()


def faults(*options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    command = [sys.executable, "-m", "bench", "faults", *options]
    ended = subprocess.run(command, cwd=RESULTS, capture_output=True, text=True, check=False)
    assert "Summary: " in ended.stdout, ended.stdout + ended.stderr
    return ended, json.loads((RESULTS / "results/latest/summary.json").read_text())


def test_a_new_definition_under_writes_loses_nothing_and_no_task_lacks_a_slot(stack: Stack) -> None:
    ended, told = faults("--seconds", "15", "--fault", "definition swapped")
    assert (told["violations"], told["converged"], told["tasks"]) == ([], True, 2), ended.stdout
    (swapped,) = told["faults"]
    assert (swapped["note"], swapped["problem"]) == ("2 tasks", "")
    assert swapped["recovery_ms"] is not None
