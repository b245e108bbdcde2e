"""The traces that bench writes: the same spans as the tasks send, in OTLP's JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import urllib3
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from bench import deliveries, traces
from bench.writer import Write, new_trace
from consumer.message import Change
from consumer.traces import Traces
from tests.bench import test_handoff, test_run
from tests.bench.pretend import PretendStack
from tests.bench.test_handoff import PretendHandoff
from tests.collector.process import collecting
from tests.container.messages import envelope, record, sqs
from tests.container.test_inbox import World, handled, lines
from tests.otlp import Receiver, Span, read, receiving

__all__ = ["lines"]
WRITTEN_AT = 1_700_000_000_000
bench, handoff = test_run.bench, test_handoff.bench


def written(folder: Path) -> list[Span]:
    [path] = folder.glob("*.json")
    return read(json.loads(path.read_text()))


def write(number: int, item_id: str, version: int, traceparent: str | None) -> Write:
    at = WRITTEN_AT + number
    return Write(number, "update", item_id, version, None, at, at, at + 5, traceparent)


def message(name: str, of: Write, event: str = "MODIFY", forwarder: str | None = None, **more: Any) -> Any:
    given = record(event, of.id, of.version or 0)
    images = [given["dynamodb"][key] for key in ("NewImage", "OldImage") if key in given["dynamodb"]]
    for image in images:
        image["writtenAt"] = {"N": str(of.written_at)}
        if of.traceparent:
            image["traceparent"] = {"S": of.traceparent}
    return handled(name, sqs(json.dumps(envelope(json.dumps(given), forwarder)), **more))


@pytest.fixture
def batch() -> Iterator[tuple[list[Write], list[Any]]]:
    """Writes, and messages of every kind of outcome."""
    late = write(900, "bench:late", 5, new_trace())  # by all other clocks, in the future
    old, new = write(1, "bench:a", 6, new_trace()), write(2, "bench:a", 7, new_trace())
    untraced = write(3, "bench:b", 1, None)
    lf = write(4, "bench:line\nfeed", 1, new_trace())
    yield (
        [late, old, new, untraced, lf],
        [
            message("1", new, forwarder="lambda"),
            message("2", new),
            message("3", old),
            message("3", old, receives=2),
            message("4", late),
            message("5", untraced),
            message("6", lf),
            message("7", new, "REMOVE"),
        ],
    )


@pytest.fixture(params=["direct", pytest.param("by the OpenTelemetry Collector", marks=pytest.mark.stack)])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    with receiving() as receiver:
        if request.param != "direct":
            receiver.url = request.getfixturevalue("collector")(receiver.url)
        yield receiver


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    with ExitStack() as stack:
        yield lambda target: stack.enter_context(collecting(target, tmp_path / "collector.log"))


def test_bench_tells_the_very_spans_that_a_task_sends(
    batch: tuple[list[Write], list[Any]], lines: Callable[[], list[dict[str, Any]]], receiver: Receiver
) -> None:
    writes, messages = batch
    polled = write(5, "bench:polled", 1, new_trace())
    sender = Traces("arn:task", OTLPSpanExporter(f"{receiver.url}/v1/traces"))
    world = World(traces=sender)
    world.inbox.handle(messages)
    at = WRITTEN_AT + 1_000
    item = {"writtenAt": {"N": str(polled.written_at)}, "traceparent": {"S": polled.traceparent}}
    sender.polled("01", Change(polled.id, 1, json.dumps(item)), at)
    sender.close()
    told = [deliveries.parse(json.dumps(line), "bench:") for line in lines()]
    found = [delivery for delivery in told if delivery]
    found.append(
        deliveries.Delivery(
            *("arn:task", "01", None, "poll", "applied", "put", polled.id, 1),
            *(None, None, None, at, at, None),
        )
    )
    assert len(found) == 9
    made = read(traces.otlp(traces.of_run([*writes, polled], found), "pretend"))
    tasks = [span for span in made if span.resource["service.name"] == "statecast"]
    by_id = {span.id: span for span in receiver.received}
    assert {span.id: span for span in tasks} == by_id
    assert len(tasks) == len(by_id) == 5 + 1 + 2 + 1 + 5 + 1
    assert {span.resource["service.instance.id"] for span in tasks} == {"arn:task"}
    assert {len(span.links) for span in tasks if span.name == "copy"} == {0, 1}


@pytest.mark.stack
def test_the_opentelemetry_collector_takes_what_bench_writes(
    bench: Any, tmp_path: Path, collector: Callable[[str], str]
) -> None:
    assert bench(PretendStack(), "--writes", "20", "--traces", "traces").exit_code == 0
    [path] = (tmp_path / "traces").glob("*.json")
    with receiving() as receiver:
        answer = urllib3.request(
            "POST",
            f"{collector(receiver.url)}/v1/traces",
            body=path.read_bytes(),
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status, answer.json()) == (200, {"partialSuccess": {}})
        assert receiver.received == written(path.parent)


def test_a_run_writes_a_trace_for_each_put_and_none_for_a_delete(bench: Any, tmp_path: Path) -> None:
    stack = PretendStack(task_count=3, wanted=3)
    result = bench(stack, "--writes", "20", "--seed", "7", "--traces", "made/traces")
    assert result.exit_code == 0, result.output
    found = written(tmp_path / "made" / "traces")
    puts = [span for span in found if span.name == "write"]
    rows = {(row["id"], int(row["version"])) for row in test_run.rows() if row["kind"] != "delete"}
    assert {(span.attributes["statecast.id"], span.attributes["statecast.version"]) for span in puts} == rows
    assert len({span.trace for span in puts}) == len(puts) < 20
    for put in puts:
        of_put = [span for span in found if span.parent == put.id]
        assert {span.trace for span in of_put} == {put.trace}
        assert len(of_put) == 3 * 2, "each task by each variant"
        assert all(span.start == put.start for span in of_put)
    assert {span.resource["deployment.environment.name"] for span in found} == {"pretend"}


def test_without_the_option_a_run_writes_no_traces(bench: Any, tmp_path: Path) -> None:
    assert "Traces" not in bench(PretendStack(), "--writes", "5").output
    assert list(tmp_path.iterdir()) == [tmp_path / "results"]


def test_a_handed_over_message_is_one_trace_from_order_to_work(handoff: Any, tmp_path: Path) -> None:
    stack = PretendHandoff(silent=lambda order: order["way"] == "kinesis")
    result = handoff(stack, "--messages", "1", "--cold", "0", "--traces", "traces")
    assert result.exit_code == 0, result.output
    found = written(tmp_path / "traces")
    orders = [span for span in found if span.name == "order"]
    assert len({span.trace for span in orders}) == len(stack.orders) == len(orders)
    for order in orders:
        inner = {span.name: span for span in found if span.trace == order.trace}
        if order.attributes["statecast.way"] == "kinesis":
            assert inner.keys() == {"order", "work"}, "A's line is missing"
            continue
        operation, work = inner["operation"], inner["work"]
        assert (order.parent, operation.parent, work.parent) == ("", order.id, operation.id)
        assert operation.end - operation.start == pytest.approx(1.5, abs=0.002)
        assert work.end - work.start == pytest.approx(1, abs=0.002)
        assert [span.resource["service.name"] for span in (order, operation, work)] == [
            "statecast-bench",
            "statecast-sender",
            "statecast-receiver",
        ]
