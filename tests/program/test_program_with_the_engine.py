import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import CHECKOUT

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("pulumi")]


def preview(stack: str, *settings: str) -> subprocess.CompletedProcess[str]:
    overrides = [argument for setting in settings for argument in ("--config", setting)]
    return subprocess.run(
        [sys.executable, "-m", "local", "preview", "--stack", stack, *overrides],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_wrong_settings_end_a_preview_with_a_line_each_and_nothing_planned() -> None:
    ended = preview("lambda", "tasksMin=0", "taskMax=3")

    assert ended.returncode == 1
    assert "error: statecast:tasksMin is '0': set it to a whole number from 1 to 120\n" in ended.stdout
    assert "statecast:taskMax is not a setting: did you mean statecast:tasksMax?\n" in ended.stdout
    assert "Traceback" not in ended.stdout
    assert "aws:" not in ended.stdout


def test_a_setting_of_the_wrong_type_is_refused_by_the_engine_itself() -> None:
    ended = preview("lambda", "tasksMin=many")

    assert ended.returncode != 0
    assert "'tasksMin' must be of type 'integer'" in ended.stdout


def test_the_engine_plans_the_aws_stack_under_the_policies_without_an_account() -> None:
    planned = preview("dev")

    assert planned.returncode == 0, planned.stdout
    assert "+ 161 to create" in planned.stdout, "what the mocks count, the components and the stack itself"


@pytest.mark.parametrize(("fan_out", "resources"), [("false", 47), ("true", 55)])
def test_the_hand_off_keeps_to_the_policies_with_and_without_fan_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fan_out: str, resources: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # a stack that is up would be planned against
    planned = preview("handoff", f"fanOut={fan_out}")

    assert planned.returncode == 0, planned.stdout
    assert f"+ {resources} to create" in planned.stdout, planned.stdout
