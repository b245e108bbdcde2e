"""Traces, from what the inbox and the reader tell to a receiver of OTLP on a real socket."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from consumer import traces as module
from consumer.message import Change
from consumer.traces import MOST_WAITING, Traces
from tests.container.messages import envelope, record, sqs
from tests.container.test_inbox import World, handled, lines
from tests.otlp import Receiver, Span, receiving

CONTAINER = Path(__file__).parents[2] / "container"
TRACE, WRITE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{WRITE}-01"
UNSAMPLED = f"00-{TRACE}-{WRITE}-00"
WRITTEN_AT, SNS_AT, SENT_AT, FIRST_RECEIVED_AT = (1_700_000_000_000 + ms for ms in (0, 125, 150, 200))
INTERNAL, CONSUMER = 1, 5

Lines = Callable[[], list[dict[str, Any]]]
__all__ = ["lines"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def traces(receiver: Receiver) -> Iterator[Traces]:
    made = Traces("arn:task", OTLPSpanExporter(f"{receiver.url}/v1/traces"))
    yield made
    made.close()


def put(name: str, version: int = 7, forwarder: str | None = "lambda", **changes: Any) -> Any:
    """A message that tells of a put of item a; `changes` are of its image, None takes an attribute away."""
    given = record("MODIFY", "a", version)
    written = given["dynamodb"]["NewImage"] | {"traceparent": {"S": TRACEPARENT}} | changes
    given["dynamodb"]["NewImage"] = {key: value for key, value in written.items() if value is not None}
    return handled(name, sqs(json.dumps(envelope(json.dumps(given), forwarder))))


def sent(traces: Traces, receiver: Receiver) -> list[Span]:
    """All that was received once the task has ended."""
    traces.close()
    return sorted(receiver.received, key=lambda span: (span.start, -span.end))


def test_a_delivery_is_a_span_within_the_writes_and_each_hop_one_within_it(
    traces: Traces, receiver: Receiver, lines: Lines
) -> None:
    World(traces=traces).inbox.handle([put("1")])
    whole, *hops = sent(traces, receiver)
    [line] = lines()
    assert (whole.trace, whole.parent, whole.name, whole.kind) == (TRACE, WRITE, "delivery", CONSUMER)
    assert (whole.start, whole.end, whole.links) == (line["writtenAt"], line["appliedAt"], [])
    assert whole.end - whole.start == line["writeToApplied"]
    told = ("slot", "forwarder", "message", "receives", "id", "version", "outcome")
    assert whole.attributes == {f"statecast.{name}": line[name] for name in told}
    assert whole.resource["service.instance.id"] == line["task"] == "arn:task"
    assert {(hop.trace, hop.parent, hop.kind) for hop in hops} == {(TRACE, whole.id, INTERNAL)}
    assert [(hop.name, hop.start, hop.end) for hop in hops] == [
        ("forward", WRITTEN_AT, SNS_AT),
        ("sns", SNS_AT, SENT_AT),
        ("sqs", SENT_AT, FIRST_RECEIVED_AT),
        ("apply", FIRST_RECEIVED_AT, line["appliedAt"]),
    ]
    for hop in hops:
        assert hop.end - hop.start == line[f"{hop.name}TimeTaken"]
    assert len({span.id for span in (whole, *hops)}) == 5


def test_the_second_copy_is_one_span_of_the_same_trace_that_links_to_the_first(
    traces: Traces, receiver: Receiver
) -> None:
    World(traces=traces).inbox.handle([put("1"), put("2", forwarder=None), put("3", forwarder=None)])
    spans = sent(traces, receiver)
    [whole] = [span for span in spans if span.name == "delivery"]
    copies = [span for span in spans if span.name == "copy"]
    assert {span.trace for span in spans} == {TRACE}
    assert len(spans) == 5 + 2
    assert len({span.id for span in spans}) == len(spans)
    for copy in copies:
        assert (copy.parent, copy.links) == (WRITE, [(TRACE, whole.id)])
        told = copy.attributes["statecast.forwarder"], copy.attributes["statecast.outcome"]
        assert told == ("pipe", "duplicate")


def test_a_copy_of_what_no_delivery_applied_links_to_nothing(traces: Traces, receiver: Receiver) -> None:
    world = World(Change("a", 7, "{}"), traces=traces)
    world.inbox.handle([put("1"), put("2", version=6)])
    told = [(span.name, span.attributes["statecast.outcome"]) for span in sent(traces, receiver)]
    assert sorted(told) == [("copy", "duplicate"), ("copy", "stale")]
    assert [span.links for span in receiver.received] == [[], []]


def test_a_writers_clock_that_is_missing_begins_the_span_at_the_topic(
    traces: Traces, receiver: Receiver
) -> None:
    World(traces=traces).inbox.handle([put("1", writtenAt=None)])
    spans = sent(traces, receiver)
    assert [span.name for span in spans] == ["delivery", "sns", "sqs", "apply"]
    assert spans[0].start == SNS_AT


def test_a_hop_between_clocks_that_disagree_is_left_out(traces: Traces, receiver: Receiver) -> None:
    World(traces=traces).inbox.handle([put("1", writtenAt={"N": str(SNS_AT + 10)})])
    spans = sent(traces, receiver)
    assert [span.name for span in spans] == ["delivery", "sqs", "apply"]
    assert spans[0].start == SNS_AT + 10


@pytest.mark.parametrize(
    "changes",
    [
        {"traceparent": None},
        {"traceparent": {"S": UNSAMPLED}},
        {"traceparent": {"S": "00-not-a-context"}},
        {"traceparent": {"S": f"00-{'0' * 32}-{WRITE}-01"}},
        {"traceparent": {"N": "1"}},
        {"writtenAt": {"N": str(10**15)}},
        {"writtenAt": {"N": "-1"}},
    ],
)
def test_a_write_that_is_not_traced_or_was_made_in_the_future_has_no_span(
    traces: Traces, receiver: Receiver, changes: Any
) -> None:
    world = World(traces=traces)
    world.inbox.handle([put("1", **changes)])
    assert (world.versions(), world.queue.deleted) == ({"a": 7}, ["1"])
    assert (sent(traces, receiver), traces.counted) == ([], {"sent": 0, "lost": 0})


def test_a_delete_has_no_span_though_it_carries_the_last_writes_context(
    traces: Traces, receiver: Receiver
) -> None:
    removed = record("REMOVE", "a", 7)
    removed["dynamodb"]["OldImage"]["traceparent"] = {"S": TRACEPARENT}
    world = World(Change("a", 7, "{}"), traces=traces)
    world.inbox.handle([sqs(json.dumps(envelope(json.dumps(removed))))])
    assert world.versions() == {}
    assert sent(traces, receiver) == []


def test_the_sampler_of_opentelemetrys_own_variables_decides(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    traces = Traces("arn:task", OTLPSpanExporter(f"{receiver.url}/v1/traces"))
    world = World(traces=traces)
    for version in range(400):
        trace = md5(str(version).encode()).hexdigest()
        world.inbox.handle([put("1", version + 1, traceparent={"S": f"00-{trace}-{WRITE}-01"})])
    spans = sent(traces, receiver)
    assert 0 < len({span.trace for span in spans}) < 200
    assert len(spans) == 5 * len({span.trace for span in spans}), "of a trace all spans or none"


def test_a_polled_change_is_one_span(traces: Traces, receiver: Receiver) -> None:
    item = {"writtenAt": {"N": str(WRITTEN_AT)}, "traceparent": {"S": TRACEPARENT}}
    traces.polled("01", Change("a", 7, json.dumps(item)), WRITTEN_AT + 900)
    traces.polled("01", Change("a", 8, None), WRITTEN_AT + 900)
    [span] = sent(traces, receiver)
    assert (span.name, span.start, span.end) == ("delivery", WRITTEN_AT, WRITTEN_AT + 900)
    assert span.attributes == {
        "statecast.slot": "01",
        "statecast.forwarder": "poll",
        "statecast.id": "a",
        "statecast.version": 7,
        "statecast.outcome": "applied",
    }


def test_a_receiver_that_hangs_holds_up_neither_the_inbox_nor_the_end_and_what_is_lost_is_told(
    traces: Traces, receiver: Receiver, lines: Lines
) -> None:
    receiver.held = threading.Event()
    world = World(traces=traces)
    began = time.monotonic()
    for version in range(1_000):
        world.inbox.handle([put(str(version), version + 1)])
    assert time.monotonic() - began < 5
    assert (world.versions(), len(world.queue.deleted)) == ({"a": 1_000}, 1_000)
    assert traces.counted == {"sent": 0, "lost": 5_000 - MOST_WAITING // 5 * 5}, "whole deliveries"

    began = time.monotonic()
    traces.close()
    assert time.monotonic() - began < module.FLUSH_SECONDS + 0.5
    assert traces.counted == {"sent": 0, "lost": 5_000}
    lost = [line for line in lines() if line["event"] == "spans lost"]
    assert sum(line["spans"] for line in lost) == 5_000
    assert {line["task"] for line in lost} == {"arn:task"}


def test_spans_that_the_receiver_refuses_are_lost_and_told_and_others_are_sent(
    traces: Traces, receiver: Receiver, lines: Lines
) -> None:
    receiver.answers = 400
    world = World(traces=traces)
    for version in range(1, 200):
        world.inbox.handle([put(str(version), version)])
    while not traces.counted["lost"]:  # a batch is full
        time.sleep(0.01)
    receiver.answers = 200
    world.inbox.handle([put("last", 200)])
    traces.close()
    counted = traces.counted
    assert counted["lost"] > 0
    assert counted["sent"] == len(receiver.received) > 0
    assert sum(counted.values()) == 5 * 200
    assert sum(line["spans"] for line in lines() if line["event"] == "spans lost") == counted["lost"]


def test_what_is_remembered_for_links_is_bounded(monkeypatch: pytest.MonkeyPatch, traces: Traces) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    World(traces=traces).inbox.handle([put(str(version), version) for version in range(1, 9)])
    assert list(traces._applied) == [("a", 6), ("a", 7), ("a", 8)]


def test_a_task_that_sends_no_traces_loads_no_sdk() -> None:
    program = "import sys, consumer.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=CONTAINER, capture_output=True, text=True, check=True
    )
    assert not {"opentelemetry", "requests", "google"} & set(loaded.stdout.split())
