import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import CHECKOUT

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a local stack with three tasks: the fewest of which most are not all."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(CHECKOUT)}
    try:
        up = call(environment, CHECKOUT, "local", "up", "--config", "tasksMin=3")
        assert up.returncode == 0, up.stderr
        yield environment
    finally:
        call(environment, CHECKOUT, "local", "down")


def call(environment: dict[str, str], folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
def test_a_sick_task_is_replaced_and_a_poison_message_stops_nobody(
    environment: dict[str, str], tmp_path: Path
) -> None:
    ended = call(environment, tmp_path, "bench", "reap")
    assert "Summary: " in ended.stdout, ended.stdout + ended.stderr
    told = json.loads((tmp_path / "results/latest/summary.json").read_text())
    assert told["problems"] == [] and ended.returncode == 0, ended.stdout
    assert (told["sick"]["others_touched"], told["poison"]["stopped"], told["lost"]) == ([], [], 0)
    assert told["poison"]["archived"] == {"poison-message": 3}

    again = call(environment, tmp_path, "bench", "reap")
    assert again.returncode == 1
    assert "the reaper stopped 1 tasks of stack 'local' in the last ten minutes" in again.stderr
