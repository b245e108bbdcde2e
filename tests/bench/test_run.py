import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from bench import __main__ as command
from bench import burst, deliveries, fleet
from bench import run as experiment
from bench.presets import Step
from bench.statistics import Distribution
from bench.writer import TableEntry, write_on_schedule
from tests.bench.pretend import PretendStack

Bench = Callable[..., Result]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """`python -m bench run` on a pretended stack, with results in the test's folder."""
    monkeypatch.chdir(tmp_path)
    for module in (deliveries, fleet):
        monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(experiment, "WARM_UP_INTERVAL_S", 0.001)

    def run(stack: PretendStack, *options: str) -> Result:
        monkeypatch.setattr(experiment, "find", lambda name: stack)
        options = ("--stack", "pretend", "--interval", "0.005", "--patience", "1", *options)
        return CliRunner().invoke(command.app, ["run", *options])

    return run


def summary() -> dict:
    return json.loads(Path("results/latest/summary.json").read_text())


def table(name: str) -> list[dict[str, str]]:
    with Path("results/latest", name).open() as file:
        return list(csv.DictReader(file))


def rows(phase: str = "measured") -> list[dict[str, str]]:
    return [row for row in table("deliveries.csv") if row["phase"] == phase]


def test_a_run_without_loss_exits_0_and_accounts_for_writes_times_tasks(bench: Bench) -> None:
    stack = PretendStack(task_count=3, wanted=3)
    result = bench(stack, "--writes", "20", "--seed", "7")
    assert result.exit_code == 0, result.output
    kept = summary()
    assert (kept["writes"], kept["tasks"], kept["interval_s"]) == (20, 3, 0.005)
    assert kept["converged"] is True
    assert kept["environment"]["seed"] == 7
    assert kept["warm_up"] == {"writes": 10, "expected": 60, "delivered": 60}
    for variant in ("lambda", "pipe"):
        row = kept["variants"][variant]
        counts = {name: row[name] for name in ("expected", "delivered", "lost", "duplicates", "out_of_order")}
        assert counts == {"expected": 60, "delivered": 60, "lost": 0, "duplicates": 0, "out_of_order": 0}
        assert row["ms"]["write_to_applied"]["count"] == 60
        assert set(row["ms"]["sns"]) == {"count", "mean", "p50", "p90", "p99", "max"}
        assert row["ms"]["sns"]["p50"] == 2


def test_the_error_of_the_clocks_is_stated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench(PretendStack(), "--writes", "2")
    assert summary()["environment"]["clock_error"] == (
        "unknown, the clocks are of several hosts and none tells how far it may be off"
    )
    bench(PretendStack(task_count=3, wanted=3, clock_bounds_ms=(1, None, 2)), "--writes", "2")
    assert summary()["environment"]["clock_error"].startswith(
        "unknown, but of 2 of 3 tasks: by ECS at most 2 ms"
    )
    monkeypatch.setattr(experiment.environment, "_cloud", lambda stack: "emulator")
    bench(PretendStack(endpoint="http://127.0.0.1:4566"), "--writes", "2")
    assert summary()["environment"]["clock_error"] == "none, every clock is of one host"


def test_each_delivery_is_a_row_with_every_clock(bench: Bench) -> None:
    bench(PretendStack(), "--writes", "20")
    assert len(rows()) == 20 * 2 * 2
    assert {row["write"] for row in rows()} == {str(number) for number in range(20)}
    for row in rows():
        assert row["kind"] in {"update", "insert", "delete"}
        clocks = [int(row[f"{name}At"]) for name in ("scheduled", "written", "sns", "sqsSent", "applied")]
        assert clocks == sorted(clocks)
        assert set(row) >= {"id", "version", "task", "slot", "forwarder", "outcome", "acknowledgedAt"}


class MeddledStack(PretendStack):
    """Someone else makes a change for each of ours."""

    def update_item(self, **asked: Any) -> Any:
        self.log(asked["Key"]["id"]["S"], version=1)
        return super().update_item(**asked)


def test_what_no_figure_holds_is_kept_too(bench: Bench) -> None:
    bench(MeddledStack(fails=lambda item: item.endswith(":00003")), "--writes", "20", "--seed", "7")
    assert len(rows("warm-up")) == 9 * 2 * 2
    assert {(row["write"], row["writtenAt"], row["version"]) for row in rows("")} == {("", "", "1")}
    writes = table("writes.csv")
    assert [row["phase"] for row in writes] == ["warm-up"] * 10 + ["measured"] * 20
    assert {row["id"].endswith(":00003") for row in writes if row["error"]} == {True}
    assert {row["error"] == "" for row in writes if row["id"].endswith(":00003")} == {False}
    assert table("invocations.csv") == []


def test_where_the_writes_entered_is_recorded_and_how_long_it_took_to_acknowledge_them(bench: Bench) -> None:
    bench(PretendStack(), "--writes", "10")
    kept = summary()
    assert kept["entry"] == "table"
    assert kept["entry_ms"].keys() == {"write_to_acknowledged"}
    assert kept["entry_ms"]["write_to_acknowledged"]["count"] == 10


class Api:
    """The write API of a pretended stack."""

    def __init__(self, stack: PretendStack) -> None:
        self._table = TableEntry(stack.client("dynamodb"), stack.outputs.table)
        self.put, self.delete = self._table.put, self._table.delete


def test_the_api_is_another_entry_and_appsync_says_how_long_it_took(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []

    def latency(stack: PretendStack, since_ms: int, until_ms: int, requests: int, _: float) -> Distribution:
        asked.append((since_ms, until_ms, requests))
        return Distribution(21, 60.5, max=90)

    monkeypatch.setattr(experiment.appsync, "AppSyncEntry", Api)
    monkeypatch.setattr(experiment.appsync, "latency", latency)
    result = bench(PretendStack(), "--writes", "10", "--entry", "appsync")
    assert result.exit_code == 0, result.output
    assert summary()["entry"] == "appsync"
    assert summary()["entry_ms"]["appsync"]["mean"] == 60.5
    assert "entry appsync: appsync" in result.output
    # Its minutes hold the warm-up's requests too: without them it would stop before the run's last have come.
    clocks = [[int(row[clock]) for row in table("writes.csv")] for clock in ("scheduledAt", "acknowledgedAt")]
    assert asked == [(min(clocks[0]), max(clocks[1]), 20)]
    # A busy machine may write late, and says so.
    assert [note for note in summary()["notes"] if not note.startswith("Writes began late")] == [
        "AppSync's Latency is the mean of all 21 requests in the minutes of the run, the warm-up's 10 and "
        "other callers' included."
    ]


def denied(*_: Any, **__: Any) -> Any:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "Read")


def test_what_cannot_be_read_after_the_writes_is_said_and_loses_none_of_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = PretendStack()
    monkeypatch.setattr(stack, "list_event_source_mappings", denied)
    monkeypatch.setattr(experiment.appsync, "AppSyncEntry", Api)
    monkeypatch.setattr(experiment.appsync, "latency", denied)
    result = bench(stack, "--writes", "10", "--entry", "appsync")
    assert result.exit_code == 0, result.output
    assert (summary()["writes"], len(rows()), table("invocations.csv")) == (10, 40, [])
    told = "An error occurred (AccessDenied) when calling the Read operation: not you"
    assert summary()["notes"][:2] == [
        f"{what} could not be read: {told}" for what in ("AppSync's Latency", "The function's invocations")
    ]


def test_a_page_that_cannot_be_drawn_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "page", lambda result: 1 / 0)
    assert isinstance(bench(PretendStack(), "--writes", "10").exception, ZeroDivisionError)
    assert (summary()["writes"], len(rows())) == (10, 40)


def test_a_variant_that_only_aws_runs_is_asked_nothing_on_an_emulator(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment.environment, "_cloud", lambda stack: "emulator")
    stack = PretendStack(endpoint="http://127.0.0.1:4566")
    stack.outputs = stack.outputs.model_copy(update={"variants": ["lambda", "bus"]})
    result = bench(stack, "--writes", "5")
    assert result.exit_code == 0, result.output
    assert summary()["variants"].keys() == {"lambda"}
    assert summary()["aws_only"] == ["bus"]
    assert re.search(r"bus +AWS only", result.output)
    assert "<th>bus</th>" in Path("results/latest/report.html").read_text()


def test_on_aws_a_bus_is_a_variant_like_any_other(bench: Bench) -> None:
    stack = PretendStack()
    stack.outputs = stack.outputs.model_copy(update={"variants": ["bus"]})
    assert bench(stack, "--writes", "5").exit_code == 0
    assert summary()["variants"]["bus"]["delivered"] == 10
    assert summary()["aws_only"] == []


def preset(stack: PretendStack, *options: str) -> Result:
    return CliRunner().invoke(command.app, ["run", "--stack", stack.name, "--patience", "1", *options])


@pytest.fixture
def short(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> PretendStack:
    """A stack of lambda alone, and a burst of three short steps."""
    stack = PretendStack()
    stack.outputs = stack.outputs.model_copy(update={"variants": ["lambda"]})
    monkeypatch.setattr(experiment, "find", lambda name: stack)
    monkeypatch.setattr(burst, "KEPT_UP", 0)  # a busy machine may not keep up with the shortest steps
    steps = [Step(20, 1 / rate) for rate in (20, 40, 60)]
    monkeypatch.setitem(experiment.PRESETS, "burst", replace(experiment.PRESETS["burst"], steps=steps))
    return stack


def test_a_burst_steps_up_and_tells_the_knee(short: PretendStack) -> None:
    answer = preset(short, "--preset", "burst")
    assert answer.exit_code == 0, answer.output
    kept = summary()
    assert (kept["preset"], kept["interval_s"], kept["writes"]) == ("burst", None, 60)
    assert (kept["burst"]["knee"], kept["burst"]["ended_by"]) == (60, None)
    assert [step["rate"] for step in kept["burst"]["steps"]] == [20, 40, 60]
    assert sorted(int(row["write"]) for row in rows()) == sorted([*range(60)] * 2)  # they may overtake
    told = "lambda holds 60 writes/s; the last step"
    assert told in answer.output
    for report in ("report.html", "report.md"):
        assert told in (Path("results/latest") / report).read_text()


def test_a_step_that_loses_is_the_last(short: PretendStack) -> None:
    def copies(*delivery: str) -> int:
        seen.append(delivery)
        return len(seen) != 2 * (10 + 25)  # the last task's line of the 25th write

    seen: list[tuple] = []
    short.copies = copies
    assert preset(short, "--preset", "burst").exit_code == 1
    kept = summary()
    assert [step["ended_by"] for step in kept["burst"]["steps"]] == [None, "lost"]
    assert kept["burst"]["knee"] == 20
    of = kept["variants"]["lambda"]
    assert (of["expected"], of["delivered"], of["duplicates"]) == (80, 79, 0), "the log was read twice"


def refusal(stack: PretendStack, *options: str) -> str:
    problem = preset(stack, *options).exception
    assert isinstance(problem, command.ExperimentError)
    return str(problem)


def test_a_preset_and_its_parts_exclude_each_other(short: PretendStack) -> None:
    assert refusal(short, "--preset", "article", "--writes", "5", "--interval", "1") == (
        "--preset article and --writes and --interval exclude each other: "
        "the preset is 720 writes, one each 5 s"
    )


def test_the_article_s_plan_is_refused_on_another_number_of_tasks(short: PretendStack) -> None:
    told = "--preset article is of 20 tasks, and stack 'pretend' wants 2: `tasksMin` sets it"
    assert refusal(short, "--preset", "article") == told
    assert short.versions == {}, "nothing was written"


def test_a_burst_of_two_variants_is_refused(short: PretendStack) -> None:
    short.outputs = short.outputs.model_copy(update={"variants": ["lambda", "pipe"]})
    assert refusal(short, "--preset", "burst").startswith(
        "--preset burst is of one variant alone, and stack 'pretend' has lambda, pipe"
    )


def test_the_article_s_plan_is_made_on_twenty_tasks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = PretendStack(task_count=20, wanted=20)
    stack.outputs = stack.outputs.model_copy(update={"variants": ["lambda"]})
    monkeypatch.setattr(experiment, "find", lambda name: stack)
    waits = []
    monkeypatch.setattr(experiment, "write_on_schedule", lambda *of: waits.append(of[1]) or write(*of))
    answer = preset(stack, "--preset", "article")
    assert answer.exit_code == 0, answer.output
    assert waits == [experiment.WARM_UP_INTERVAL_S, 5.0]
    assert (summary()["preset"], summary()["writes"], summary()["tasks"]) == ("article", 720, 20)


def write(plan: Any, interval_s: float, *rest: Any) -> Any:
    return write_on_schedule(plan, 0, *rest)


def test_one_lost_line_exits_1_and_is_named(bench: Bench) -> None:
    lost: list[tuple[str, str, str, int]] = []

    def copies(*delivery: str) -> int:
        # The 25th change (the first ten warm up) does not reach the first task by the Pipe.
        if delivery[:2] == (stack.tasks[0], "pipe"):
            seen.append(delivery)
            if len(seen) == 25:
                lost.append(delivery)
                return 0
        return 1

    seen: list[tuple] = []
    stack = PretendStack(copies=copies)
    result = bench(stack, "--writes", "20")
    assert result.exit_code == 1
    assert (summary()["variants"]["pipe"]["lost"], summary()["variants"]["lambda"]["lost"]) == (1, 0)
    ((task, _, item_id, version),) = lost
    (named,) = summary()["variants"]["pipe"]["losses"]
    assert (named["id"], named["version"], named["task"]) == (item_id, version, task)
    assert f"{item_id} version {version}) at task {task} by pipe" in result.output


def test_a_fleet_that_holds_something_else_exits_1(bench: Bench) -> None:
    result = bench(PretendStack(digest="0" * 32), "--writes", "5")
    assert result.exit_code == 1
    assert summary()["converged"] is False
    assert "they do NOT all hold what the table holds" in " ".join(result.output.split())


def test_second_copies_are_counted_and_are_no_loss(bench: Bench) -> None:
    stack = PretendStack(copies=lambda task, forwarder, *_: 2 if forwarder == "lambda" else 1)
    assert bench(stack, "--writes", "10").exit_code == 0
    assert summary()["variants"]["lambda"]["duplicates"] == 20
    assert summary()["variants"]["pipe"]["duplicates"] == 0


def test_a_task_that_was_replaced_during_the_run_is_told_by_the_leases_of_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(stack: PretendStack, *_: Any) -> bool:
        stack.tasks[1] = "arn:aws:ecs:eu-south-1:1:task/cluster/new"
        return True

    monkeypatch.setattr(experiment, "await_converged", replaced)
    bench(PretendStack(), "--writes", "5")
    assert "The fleet changed: 1 of its 2 tasks left, 1 came." in summary()["notes"]


class LateCopies(PretendStack):
    """Delivers the latest change once more whenever a table is scanned."""

    def get_paginator(self, operation: str) -> Any:
        for lines in self.lines.values() if operation == "scan" else ():
            lines.extend(lines[-1:])
        return super().get_paginator(operation)


def test_a_copy_that_comes_after_all_that_was_expected_is_counted(bench: Bench) -> None:
    assert bench(LateCopies(), "--writes", "10").exit_code == 0
    assert summary()["variants"]["pipe"]["duplicates"] > 0


def test_a_failed_write_is_named_and_not_expected(bench: Bench) -> None:
    writes = iter(range(10_000))
    result = bench(PretendStack(fails=lambda _: next(writes) == 12), "--writes", "20", "--seed", "1")
    assert result.exit_code == 0
    assert summary()["writes"] == 19
    assert summary()["variants"]["lambda"]["expected"] == 38
    (failed,) = summary()["failed_writes"]
    assert failed["write"] == 2
    assert "slow down" in failed["error"]
    assert "failed write 2" in result.output
    told = "20 writes, 2 tasks: 1 of 20 writes failed, all 76 deliveries arrived, all hold"
    assert told in " ".join(result.output.split())


def test_a_run_of_which_the_entry_took_too_few_writes_exits_1(bench: Bench) -> None:
    writes = iter(range(10_000))
    failing = {12, 13}
    result = bench(PretendStack(fails=lambda _: next(writes) in failing), "--writes", "20", "--seed", "1")
    assert (summary()["writes"], summary()["converged"]) == (18, True)
    assert result.exit_code == 1


def test_a_clock_of_whole_seconds_gives_no_hop(bench: Bench) -> None:
    bench(PretendStack(sns_clock_ms=1000), "--writes", "5")
    took = summary()["variants"]["lambda"]["ms"]
    nothing = {"count": 0, "mean": None, "p50": None, "p90": None, "p99": None, "max": None}
    assert took["forward"] == took["sns"] == nothing
    assert took["write_to_queue"]["count"] == 10
    assert any("whole seconds" in note for note in summary()["notes"])


@pytest.mark.parametrize(("options", "left"), [((), 0), (("--keep-items",), 11)])
def test_the_items_of_a_run_are_deleted_at_its_end(bench: Bench, options: tuple[str, ...], left: int) -> None:
    stack = PretendStack()
    # Ten seeds, two inserts, one delete; slowly, or a delete could overtake the update before it.
    bench(stack, "--writes", "10", "--interval", "0.05", *options)
    assert len(stack.versions) == left


def test_latest_points_at_the_newest_of_several_runs(bench: Bench) -> None:
    for seed in ("1", "2"):
        bench(PretendStack(), "--writes", "1", "--seed", seed)
    folders = sorted(path for path in Path("results").iterdir() if not path.is_symlink())
    assert len(folders) == 2
    assert Path("results/latest").resolve() == folders[-1].resolve()
    assert summary()["environment"]["seed"] == 2


def error(bench: Bench, stack: PretendStack) -> str:
    result = bench(stack, "--writes", "3")
    assert isinstance(result.exception, command.ExperimentError)
    return str(result.exception)


def test_silent_tasks_are_one_clear_line(bench: Bench) -> None:
    told = error(bench, PretendStack(copies=lambda *_: 0))
    assert told == (
        "2 tasks logged no delivery of 10 writes in 1 s: see log group log-group, and whether the forwarders "
        "are enabled"
    )


def test_a_stack_of_which_nothing_runs_here_is_one_clear_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment.environment, "_cloud", lambda stack: "emulator")
    stack = PretendStack(endpoint="http://127.0.0.1:4566")
    stack.outputs = stack.outputs.model_copy(update={"variants": ["bus"]})
    assert error(bench, stack) == "an emulator does not run variant bus: measure it on AWS"


def test_too_few_ready_tasks_are_one_clear_line(bench: Bench) -> None:
    told = error(bench, PretendStack(wanted=5))
    assert told == (
        "2 of 5 tasks of stack 'pretend' hold a lease and are ready after 1 s: see the log group log-group"
    )


def test_a_table_that_takes_no_write_is_one_clear_line(bench: Bench) -> None:
    told = error(bench, PretendStack(fails=lambda _: True))
    assert told.startswith("no write to table state succeeded: ")
    assert "slow down" in told
