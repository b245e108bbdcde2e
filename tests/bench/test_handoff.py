# ruff: noqa: N803 - boto3's names
import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from typer.testing import CliRunner, Result

from bench import __main__ as command
from bench.errors import ExperimentError
from bench.handoff import lines
from bench.handoff import run as experiment
from bench.handoff.functions import Order, restarting
from bench.handoff.lines import Received, Sent, follow, parse
from bench.handoff.plan import PRESETS, Message, plan
from bench.handoff.result import Observation, conclude
from bench.handoff.result import Result as HandoffResult
from bench.report.handoff import operation_against_delivery, page, show
from bench.stack import HandoffOutputs

WAYS = ["synchronous", "asynchronous", "sns", "kinesis"]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PAGE = 7
"""Events a page: fewer than a run has, so that tokens matter."""


@dataclass
class PretendHandoff:
    """A stack in memory whose B logs every message, unless a test loses or repeats it.

    B is cold when its configuration was changed, and A's environment is one.
    """

    name: str = "pretend"
    region: str = "eu-south-1"
    endpoint: str | None = None
    outputs: HandoffOutputs = field(
        default_factory=lambda: HandoffOutputs(
            senderLogGroup="sender-logs",
            receiverLogGroup="receiver-logs",
            sender="arn:aws:lambda:eu-south-1:1:function:sender",
            receiver="arn:aws:lambda:eu-south-1:1:function:receiver",
            ways=WAYS,
        )
    )
    copies: Callable[[dict[str, Any]], int] = lambda order: 1
    silent: Callable[[dict[str, Any]], bool] = lambda order: False
    fails: Callable[[dict[str, Any]], str | None] = lambda order: None
    variables: dict[str, str] = field(default_factory=lambda: {"KEPT": "yes"})
    orders: list[dict[str, Any]] = field(default_factory=list)
    logged: dict[str, list[str]] = field(
        default_factory=lambda: {"sender-logs": ["START"], "receiver-logs": ["no JSON"]}
    )
    cold: bool = True
    restarts: int = 0

    def client(self, service: str, attempts: int = 8) -> Any:
        return self

    def invoke(self, *, FunctionName: str, Payload: str) -> Any:
        order = json.loads(Payload)
        self.orders.append(order)
        if error := self.fails(order):
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(error.encode())}
        now = time.time_ns() / 1e6
        _, trace, _, _ = order["traceparent"].split("-")
        span = f"00-{trace}-{'1' * 16}-01"
        sent = {
            "event": "sent",
            "cold": False,
            "sentAt": now,
            "operation": 1.5,
            "parent": order["traceparent"],
        }
        if not self.silent(order):
            self._log("sender-logs", order, sent | {"traceparent": span})
        received = {"event": "received", "cold": self.cold, "receivedAt": now + 4, "handledAt": now + 5}
        for _ in range(self.copies(order)):
            self._log("receiver-logs", order, received | {"parent": span})
            self.cold = False
        return {"Payload": io.BytesIO(b"null")}

    def get_function_configuration(self, *, FunctionName: str) -> Any:
        return {"Environment": {"Variables": self.variables}}

    def update_function_configuration(self, *, FunctionName: str, Environment: Any) -> None:
        assert FunctionName == self.outputs.receiver
        assert Environment["Variables"] != self.variables, "that would not make it begin anew"
        self.variables, self.cold, self.restarts = Environment["Variables"], True, self.restarts + 1

    def get_waiter(self, name: str) -> Any:
        assert name == "function_updated_v2"
        return self

    def wait(self, *, FunctionName: str, WaiterConfig: Any) -> None:
        assert FunctionName == self.outputs.receiver

    def get_paginator(self, operation: str) -> Any:
        assert operation == "filter_log_events"
        return self

    def paginate(self, *, logGroupName: str, startTime: int, filterPattern: str) -> Any:
        events = [{"message": text} for text in self.logged[logGroupName]]
        return [{"events": events[start : start + PAGE]} for start in range(0, len(events), PAGE)]

    def _log(self, group: str, order: dict[str, Any], line: dict[str, Any]) -> None:
        self.logged[group].append(json.dumps({"id": order["id"], **line}))


Bench = Callable[..., Result]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """`python -m bench handoff` on a pretended stack, with results in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lines, "POLL_S", 0.01)

    def run(stack: PretendHandoff, *options: str) -> Result:
        monkeypatch.setattr(experiment, "find_handoff", lambda name: stack)
        options = ("--stack", "pretend", "--interval", "0.002", "--patience", "1", *options)
        return CliRunner().invoke(command.app, ["handoff", *options])

    return run


def summary() -> dict[str, Any]:
    return json.loads(Path("results/latest/summary.json").read_text())


def test_a_run_without_loss_exits_0_and_accounts_for_every_way_size_and_work(bench: Bench) -> None:
    stack = PretendHandoff()
    result = bench(stack, "--messages", "3", "--cold", "2", "--seed", "7")
    assert result.exit_code == 0, result.output
    kept = summary()
    assert (kept["messages"], kept["ways"], kept["preset"]) == (3 * 4 * 6, WAYS, "full")
    assert kept["environment"]["seed"] == 7
    assert kept["warm_up"] == {"expected": 8, "delivered": 8, "lost": 0, "duplicates": 0}
    assert {(row["way"], row["size"], row["work_ms"]) for row in kept["warm"]} == {
        (way, size, work_ms) for way in WAYS for size in (1024, 65_536, 245_760) for work_ms in (0, 200)
    }
    for row in kept["warm"]:
        assert (row["expected"], row["delivered"], row["lost"]) == (3, 3, 0)
        assert (row["operation"]["p50"], row["delivery"]["p50"]) == (1.5, 4.0)
        assert row["intervals"]["operation"]["p50"] == [1.5, 1.5]
    told = Path("results/latest/report.html").read_text().partition("<h2>How sure</h2>")[2]
    assert "<td>sns, 64 KB, B 200 ms</td><td>1.5 … 1.5</td><td>4.0 … 4.0</td>" in told
    assert [(row["way"], row["states"], row["delivery"]["count"]) for row in kept["cold"]] == [
        (way, {"cold": 2}, 2) for way in WAYS
    ]
    assert len({order["traceparent"] for order in stack.orders}) == len(stack.orders), "a trace for each"


def test_every_message_is_a_row_of_the_csv(bench: Bench) -> None:
    stack = PretendHandoff()
    bench(stack, "--messages", "1", "--cold", "1")
    with Path("results/latest/handoffs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["phase"] for row in rows] == ["warm-up"] * 8 + ["measured"] * 24 + ["provoked"] * 4
    assert [row["state"] for row in rows if row["phase"] == "provoked"] == ["cold"] * 4
    last = rows[-1]
    assert float(last["receivedAt"]) - float(last["sentAt"]) == pytest.approx(
        float(last["delivery"]), abs=0.01
    )
    assert (last["parent"], last["copies"]) == (stack.orders[-1]["traceparent"], "1")
    assert last["traceparent"].split("-")[1] == last["parent"].split("-")[1]


def test_a_page_that_cannot_be_drawn_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "page", lambda result: 1 / 0)
    answer = bench(PretendHandoff(), "--messages", "1", "--cold", "0")
    assert isinstance(answer.exception, ZeroDivisionError)
    assert summary()["messages"] > 0
    assert Path("results/latest/handoffs.csv").exists()


def test_a_lost_message_is_named_and_exits_1(bench: Bench) -> None:
    def lose(order: dict[str, Any]) -> int:
        return int(not order["id"].endswith("m00002"))

    result = bench(PretendHandoff(copies=lose), "--messages", "1", "--cold", "0", "--seed", "1")
    assert result.exit_code == 1
    (lost,) = summary()["lost"]
    assert (lost["number"], lost["way"]) == (2, "sns")
    assert f"lost {lost['id']} by sns" in result.output
    assert "1 of 32 messages lost" in result.output


@pytest.mark.parametrize("phase", ["w", "c"])
def test_a_message_lost_in_any_phase_exits_1(bench: Bench, phase: str) -> None:
    stack = PretendHandoff(copies=lambda order: int(not order["id"].endswith(f"{phase}00001")))
    assert bench(stack, "--messages", "1", "--cold", "1").exit_code == 1
    assert len(summary()["lost"]) == 1


def test_a_copy_is_counted_and_no_loss(bench: Bench) -> None:
    stack = PretendHandoff(copies=lambda order: 1 + (order["way"] == "kinesis"))
    result = bench(stack, "--messages", "2", "--cold", "0")
    assert result.exit_code == 0
    duplicates = {(row["way"], row["duplicates"]) for row in summary()["warm"]}
    assert duplicates == {(way, 2 if way == "kinesis" else 0) for way in WAYS}


def test_a_message_that_the_sender_did_not_hand_over_is_told_and_not_lost(bench: Bench) -> None:
    stack = PretendHandoff(fails=lambda order: "throttled" if order["id"].endswith("m00003") else None)
    result = bench(stack, "--messages", "1", "--cold", "0")
    assert result.exit_code == 0
    (failed,) = summary()["failed"]
    assert failed["error"] == "the sender failed: throttled"
    assert f"failed {failed['id']}: the sender failed: throttled" in result.output
    told = "4 ways from A to B: 1 of 32 orders failed, all 31 messages came."
    assert told in " ".join(result.output.split())


def test_a_run_of_which_too_few_messages_were_handed_over_exits_1(bench: Bench) -> None:
    failing = ("m00003", "m00004")
    stack = PretendHandoff(fails=lambda order: "throttled" if order["id"].endswith(failing) else None)
    result = bench(stack, "--messages", "1", "--cold", "0")
    assert len(summary()["failed"]) == 2
    assert result.exit_code == 1


def test_a_message_without_the_sender_s_line_is_delivered_and_not_timed(bench: Bench) -> None:
    stack = PretendHandoff(silent=lambda order: order["id"].endswith("m00000"))
    result = bench(stack, "--messages", "1", "--cold", "0")
    assert result.exit_code == 0
    assert sum(row["delivery"]["count"] for row in summary()["warm"]) == 23
    assert "Of 1 messages that came A's line is missing" in " ".join(result.output.split())


def test_each_provoked_message_finds_the_receiver_anew_and_the_configuration_is_put_back(
    bench: Bench,
) -> None:
    stack = PretendHandoff()
    bench(stack, "--messages", "1", "--cold", "2")
    assert stack.restarts == 2 * len(WAYS) + 1
    assert stack.variables == {"KEPT": "yes"}


def test_the_configuration_is_put_back_when_the_run_is_broken_off() -> None:
    stack = PretendHandoff()
    with (
        pytest.raises(KeyboardInterrupt),
        restarting(stack, stack.outputs.receiver) as restart,
    ):
        restart()
        assert stack.variables.keys() == {"KEPT", "BEGUN"}
        raise KeyboardInterrupt
    assert stack.variables == {"KEPT": "yes"}


def test_without_cold_starts_the_function_is_left_alone(bench: Bench) -> None:
    stack = PretendHandoff()
    assert bench(stack, "--messages", "1", "--cold", "0").exit_code == 0
    assert stack.restarts == 0


def test_the_article_s_preset_is_its_four_ways_and_says_what_the_article_does_not_tell(bench: Bench) -> None:
    stack = PretendHandoff()
    stack.outputs = stack.outputs.model_copy(update={"ways": [*WAYS, "fan-out"]})
    result = bench(stack, "--preset", "epsagon", "--messages", "2", "--cold", "0")
    assert {(order["way"], order["size"], order["workMs"]) for order in stack.orders} == {
        (way, 1024, 0) for way in WAYS
    }
    (note,) = [note for note in summary()["notes"] if note.startswith("The article tells")]
    assert "It does not tell the payload's size" in note
    assert "It does not tell the payload's size" in " ".join(result.output.split())


def test_the_second_article_s_plan_is_a_preset_of_a_run_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lines, "POLL_S", 0.01)
    short = replace(PRESETS["epsagon"], messages=1, interval_s=0.002)
    monkeypatch.setitem(PRESETS, "epsagon", short)
    stack = PretendHandoff()
    monkeypatch.setattr(experiment, "find_handoff", lambda name: stack)

    options = ("run", "--stack", "pretend", "--preset", "epsagon", "--seed", "7", "--patience", "1")
    result = CliRunner().invoke(command.app, options)
    assert result.exit_code == 0, result.output
    assert (summary()["preset"], summary()["environment"]["seed"], summary()["messages"]) == ("epsagon", 7, 4)

    result = CliRunner().invoke(command.app, [*options, "--writes", "5", "--entry", "appsync"])
    assert str(result.exception) == (
        "--preset epsagon and --writes and --entry appsync exclude each other: the preset hands messages "
        "over, and `bench handoff` has its options"
    )


def error(bench: Bench, stack: PretendHandoff) -> str:
    result = bench(stack, "--messages", "1")
    assert isinstance(result.exception, ExperimentError)
    return str(result.exception)


def test_a_silent_receiver_is_one_clear_line(bench: Bench) -> None:
    assert error(bench, PretendHandoff(copies=lambda order: 0)) == (
        "the receiver logged none of 8 messages in 1 s: see log group receiver-logs"
    )


def test_a_sender_that_always_fails_is_one_clear_line(bench: Bench) -> None:
    told = error(bench, PretendHandoff(fails=lambda order: "no such way"))
    assert told == (
        "function arn:aws:lambda:eu-south-1:1:function:sender handed nothing over: "
        "the sender failed: no such way"
    )


def test_an_order_that_lambda_refuses_is_a_failed_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = PretendHandoff()

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow down"}}, "Invoke")

    monkeypatch.setattr(stack, "invoke", refuse)
    assert "slow down" in error(bench, stack)


# The pure parts.


def test_a_plan_goes_every_way_for_every_cell_in_each_round_and_repeats_with_its_seed() -> None:
    cells = PRESETS["full"].cells
    made = plan(3, WAYS, cells, 5, "p:")
    assert made == plan(3, WAYS, cells, 5, "p:")
    assert made != plan(3, WAYS, cells, 6, "p:")
    assert [message.way for message in made] == WAYS * 18, "the ways take turns"
    for first in range(0, len(made), 24):
        told = {(message.way, message.size, message.work_ms) for message in made[first : first + 24]}
        assert len(told) == 24
    assert [message.id for message in made[:2]] == ["p:00000", "p:00001"]


def sent(id_: str, *, at: float = 100.0, cold: bool = False, operation: float = 2.0) -> Sent:
    return Sent(id_, cold, at, operation, TRACE, TRACE)


def received(id_: str, *, at: float = 110.0, cold: bool = False) -> Received:
    return Received(id_, cold, at, at + 1, TRACE)


def order(id_: str, way: str = "sns", size: int = 1024, work_ms: int = 0, number: int = 0) -> Order:
    return Order(Message(number, id_, way, size, work_ms), 10, 12, 15, None, TRACE)


def concluded(orders: list[Order], *told: Sent | Received, cloud: str = "aws") -> HandoffResult:
    environment = {"cloud": cloud, "started": "2026-01-01T00-00-00Z", "clock_error": "none, of one host"}
    return conclude(Observation(environment, "full", ["sns"], 0.1, {"measured": orders}, told))


@pytest.mark.parametrize(
    ("a", "b", "state"),
    [(True, True, "first"), (True, False, "first"), (False, True, "cold"), (False, False, "warm")],
)
def test_a_connection_that_a_opens_and_a_b_that_begins_are_told_apart(a: bool, b: bool, state: str) -> None:
    result = concluded([order("m")], sent("m", cold=a), received("m", cold=b))
    assert result.handoffs[0].state == state
    (row,) = result.warm.values()
    assert row.states == {state: 1}
    assert row.operation.count == row.delivery.count == (state == "warm")


def test_the_first_copy_is_the_delivery() -> None:
    result = concluded([order("m")], received("m", at=130.5), sent("m"), received("m", at=110.25))
    assert (result.handoffs[0].delivery, result.handoffs[0].copies) == (10.25, 2)


def test_a_message_that_came_before_it_was_sent_is_counted_as_it_is() -> None:
    result = concluded([order("m")], sent("m", at=100), received("m", at=97.5))
    (row,) = result.warm.values()
    assert (row.negative, row.delivery.mean) == (1, -2.5)
    assert "1 messages came before they were sent" in " ".join(result.notes)


def test_orders_late_by_the_schedule_are_told() -> None:
    assert concluded([order("m")], sent("m"), received("m")).lateness.max == 2


class SlowLog:
    """A log to which one more line comes with every look."""

    def __init__(self, *told: Sent | Received) -> None:
        self.told, self.looks = told, 0

    def read(self, since_ms: int) -> Iterator[Sent | Received]:
        self.looks += 1
        return iter(self.told[: self.looks])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "POLL_S", 0.01)


@pytest.mark.usefixtures("quick")
def test_it_waits_for_both_lines_of_each_message_and_no_longer() -> None:
    log, came = SlowLog(sent("a"), received("a"), received("c"), received("b"), sent("b"), sent("c")), [0]
    assert follow(log, 0, ["a", "b"], 60, came.append)  # pyright: ignore[reportArgumentType]
    assert log.looks == 5
    assert sum(came) == 2


@pytest.mark.usefixtures("quick")
def test_news_of_what_is_awaited_renews_its_patience_and_nothing_else_does() -> None:
    strays = [received(f"stray {number}") for number in range(1_000)]
    log = SlowLog(sent("a"), *strays)
    began = time.monotonic()
    assert not follow(log, 0, ["a"], 0.2)  # pyright: ignore[reportArgumentType]
    assert 0.2 <= time.monotonic() - began < 60
    assert log.looks < 1_000


def test_a_line_of_another_run_or_none_of_ours_is_left_out() -> None:
    line = {
        "event": "received",
        "id": "a:1",
        "cold": True,
        "receivedAt": 1.5,
        "handledAt": 2.5,
        "parent": "p",
    }
    assert parse(json.dumps(line), "a:") == Received("a:1", True, 1.5, 2.5, "p")
    assert parse(json.dumps(line), "b:") is None
    assert parse(json.dumps({**line, "event": "delivery"}), "a:") is None
    assert parse("REPORT RequestId: 1", "a:") is None
    assert parse("[]", "a:") is None


def test_a_line_without_a_field_is_one_clear_error() -> None:
    with pytest.raises(ExperimentError, match="no 'receivedAt', is the stack older than bench"):
        parse('{"event": "received", "id": "a:1", "cold": false}', "a:")


# What its reader sees.


def some(cloud: str = "emulator (ministack 1.5.33)") -> HandoffResult:
    orders = [
        order(f"m{number}", size=size, work_ms=work_ms, number=number)
        for number, (size, work_ms) in enumerate([(1024, 0), (245_760, 0), (1024, 200), (245_760, 200)])
    ]
    told = [line for one in orders for line in (sent(one.message.id), received(one.message.id))]
    return concluded(orders, *told, cloud=cloud)


def printed(result: HandoffResult, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(result, console)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_the_chart_has_a_mark_for_each_warm_message() -> None:
    result = some()
    figure = operation_against_delivery(result)
    assert [(list(trace.x), list(trace.y)) for trace in figure.data] == [([2.0, 2.0], [10.0, 10.0])] * 2
    assert [trace.marker.symbol for trace in figure.data] == ["circle", "diamond-open"]
    assert [trace.showlegend for trace in figure.data] == [True, False]
    assert list(figure.data[0].marker.size) == [6, 9], "the more bytes, the larger"
    cold = [replace(line, cold=True) for line in result.observation.lines]
    assert all(not trace.x for trace in operation_against_delivery(concluded([order("m0")], *cold)).data)


def test_the_page_asks_for_nothing_from_a_network_and_holds_the_chart() -> None:
    told = page(some())
    markup = re.sub(r"<script\b.*?</script>", "", told, flags=re.DOTALL)
    assert not re.search(r"(src|href|action)\s*=|@import|url\(", markup)
    assert 'id="handoff"' in told
    assert '<body class="passed">' in told


def test_an_emulator_s_latency_is_called_that_and_the_published_figures_stand_beside() -> None:
    for report in (page(some()), " ".join(printed(some()).split())):
        assert "Measured on an emulator (ministack 1.5.33): its latency is not that of AWS." in report
        for figure in ("73.0", "225.0", "1,580.0", "109.0"):
            assert figure in report
    assert "its latency is not that of AWS" not in page(some(cloud="aws"))


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    told = printed(some(), width=80)
    assert re.search(r"^ *240 KB, B 200 ms *$", told, re.MULTILINE)
    assert re.search(r"^ *fan-out +–.* 49\.0 +109\.0", told, re.MULTILINE)
    assert "…" not in told


def test_without_any_warm_message_the_report_is_still_drawn() -> None:
    result = concluded([order("m")])
    assert '<body class="failed">' in page(result)
    assert "lost m by sns" in printed(result)
    assert "–" in printed(result)


def test_what_others_wrote_cannot_break_the_page() -> None:
    broken = replace(order("m"), error="<script>alert(1)</script>")
    assert "<script>alert" not in page(concluded([broken]))
