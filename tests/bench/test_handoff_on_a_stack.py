import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stack import HandoffStack, find_handoff
from tests.local_stack import call, running

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]

WAYS = ["synchronous", "asynchronous", "sns", "kinesis"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandoffStack]:
    with running(tmp_path_factory.mktemp("state"), stack="handoff"):
        yield find_handoff("handoff")


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
