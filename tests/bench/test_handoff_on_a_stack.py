import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stack import HandoffStack, find_handoff
from tests.engine import CHECKOUT

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]

WAYS = ["synchronous", "asynchronous", "sns", "kinesis"]


def call(*command: str, folder: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandoffStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        try:
            up = call("local", "up", "--stack", "handoff")
            assert up.returncode == 0, up.stderr
            yield find_handoff("handoff")
        finally:
            call("local", "down", "--stack", "handoff")


def test_messages_come_by_every_way_a_synchronous_sender_waits_and_a_changed_receiver_starts_cold(
    stack: HandoffStack, tmp_path: Path
) -> None:
    functions = stack.client("lambda")
    before = functions.get_function_configuration(FunctionName=stack.outputs.receiver)

    ended = call(
        *("bench", "handoff", "--stack", "handoff", "--messages", "2", "--cold", "1", "--seed", "3"),
        folder=tmp_path,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads((tmp_path / "results/latest/summary.json").read_text())
    assert (told["lost"], told["failed"], told["ways"]) == ([], [], WAYS)
    assert sum(row["delivered"] for row in told["warm"]) == told["messages"] == 48
    assert [(row["way"], row["states"]) for row in told["cold"]] == [(way, {"cold": 1}) for way in WAYS]
    with (tmp_path / "results/latest/handoffs.csv").open() as file:
        rows = list(csv.DictReader(file))
    waited = [
        float(row["operation"]) for row in rows if (row["way"], row["workMs"]) == ("synchronous", "200")
    ]
    assert len(waited) == 6
    assert min(waited) >= 200, "a synchronous sender pays for the receiver"
    assert all(float(row["delivery"]) > 0 for row in rows), "one host has one clock"
    after = functions.get_function_configuration(FunctionName=stack.outputs.receiver)
    assert after.get("Environment", {}) in (before.get("Environment", {}), {"Variables": {}})
