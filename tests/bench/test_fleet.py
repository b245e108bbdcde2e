import pytest
from typer.testing import CliRunner

from bench import __main__ as command
from bench import fleet
from bench.fleet import await_converged, await_ready, live_leases, table_digest
from tests.bench.pretend import PretendStack

# Worked by hand from docs/message.md: weight("a") · (2 · 3 + 1) mod 2¹²⁸.
DIGEST_OF_A_AT_3 = "165795060828b47a2545afec23ec0279"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "POLL_S", 0.01)


def test_free_and_expired_leases_are_no_part_of_the_fleet() -> None:
    stack = PretendStack(task_count=2)
    leases = live_leases(stack.client("dynamodb"), "leases")
    assert [(lease.slot, lease.task) for lease in leases] == list(zip(("00", "01"), stack.tasks, strict=True))


def test_the_ready_tasks_are_those_that_the_service_wants() -> None:
    stack = PretendStack(task_count=3, wanted=3)
    assert [lease.task for lease in await_ready(stack, 0)] == stack.tasks  # pyright: ignore[reportArgumentType]


def test_the_table_s_digest_leaves_the_system_s_items_out() -> None:
    stack = PretendStack(versions={"a": 3, "statecast:watermark:0": 9})
    assert table_digest(stack.client("dynamodb"), "state") == DIGEST_OF_A_AT_3


@pytest.mark.parametrize(
    ("digest", "least", "converged"),
    [(DIGEST_OF_A_AT_3, 2, True), (DIGEST_OF_A_AT_3, 3, False), ("0" * 32, 2, False)],
)
def test_converged_is_every_live_task_at_the_table_s_digest(digest: str, least: int, converged: bool) -> None:
    stack = PretendStack(versions={"a": 3}, digest=digest)
    assert await_converged(stack, least, 0.05) is converged  # pyright: ignore[reportArgumentType]


def test_a_write_by_someone_else_during_the_check_is_no_divergence() -> None:
    class Busy(PretendStack):
        """Another item appears once the table has been scanned."""

        def get_paginator(self, operation: str) -> object:
            pages = super().get_paginator(operation)
            scanned.append(operation)
            if len(scanned) == 2:
                self.versions["b"] = 1
            return pages

    scanned: list[str] = []
    assert await_converged(Busy(versions={"a": 3}), 2, 0.05)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("versions", "wanted", "exit_code", "line"),
    [
        ({"a": 3}, 2, 0, f"2/2 tasks at digest {DIGEST_OF_A_AT_3}, which is the table's"),
        ({"a": 3}, 3, 1, f"2/3 tasks at digest {DIGEST_OF_A_AT_3}, which is the table's"),
        ({"a": 3, "b": 1}, 2, 1, "0/2 tasks at digest "),
    ],
    ids=["all", "one is missing", "none holds what the table holds"],
)
def test_the_fleet_is_shown_and_the_exit_code_says_whether_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, int], wanted: int, exit_code: int, line: str
) -> None:
    stack = PretendStack(versions=versions, wanted=wanted, digest=DIGEST_OF_A_AT_3)
    monkeypatch.setattr(fleet, "find", lambda name: stack)
    shown = CliRunner().invoke(command.app, ["fleet", "--stack", "pretend"], env={"COLUMNS": "80"})
    assert shown.exit_code == exit_code
    assert line in shown.output
    row = next(text for text in shown.output.splitlines() if text.split()[:1] == ["01"])
    assert row.split() == [
        "01",
        stack.tasks[1].rpartition("/")[2][:8],
        "60",
        "1,234",
        str(len(versions)),
        DIGEST_OF_A_AT_3[:8],
        "push",
        "yes",
    ]
