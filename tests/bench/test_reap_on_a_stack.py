import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local_stack import call, running

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[None]:
    """A local one with three tasks: the fewest of which most are not all."""
    with running(tmp_path / "state", "tasksMin=3"):
        yield


@pytest.mark.usefixtures("stack")
@pytest.mark.timeout(600)
def test_a_sick_task_is_replaced_and_a_poison_message_stops_nobody(tmp_path: Path) -> None:
    ended = call("bench", "reap", folder=tmp_path)
    assert "Summary: " in ended.stdout, ended.stdout + ended.stderr
    told = json.loads((tmp_path / "results/latest/summary.json").read_text())
    assert told["problems"] == [] and ended.returncode == 0, ended.stdout
    assert (told["sick"]["others_touched"], told["poison"]["stopped"], told["lost"]) == ([], [], 0)
    assert told["poison"]["archived"] == {"poison-message": 3}

    again = call("bench", "reap", folder=tmp_path)
    assert again.returncode == 1
    assert "the reaper stopped 1 tasks of stack 'local' in the last ten minutes" in again.stderr
