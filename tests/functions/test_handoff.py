"""The two functions of the hand-off, with what is between them replaced by what it answers."""

import base64
import io
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).parents[2] / "functions" / "handoff"
RECEIVER = "arn:aws:lambda:eu-south-1:000000000000:function:receiver"
TOPIC = "arn:aws:sns:eu-south-1:000000000000:topic"
STREAMS = {way: f"arn:aws:kinesis:eu-south-1:000000000000:stream/{way}" for way in ("kinesis", "fan-out")}
ORDER_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WAYS = ["synchronous", "asynchronous", "sns", "kinesis", "fan-out"]


class Between:
    """Takes what A hands over, and turns it into the event that B gets."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.error: dict[str, str] = {}

    def invoke(self, **call: Any) -> Any:
        self.calls.append(call)
        self.events.append(json.loads(call["Payload"]))
        return {"Payload": io.BytesIO(b'{"errorMessage": "broken"}'), **self.error}

    def publish(self, **call: Any) -> None:
        self.calls.append(call)
        self.events.append({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": call["Message"]}}]})

    def put_record(self, **call: Any) -> None:
        self.calls.append(call)
        data = base64.b64encode(call["Data"]).decode()
        self.events.append({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": data}}]})


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """The modules as a new environment imports them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name, value in (
        ("RECEIVER", RECEIVER),
        ("TOPIC_ARN", TOPIC),
        ("STREAM_ARNS", json.dumps(STREAMS)),
        ("AWS_DEFAULT_REGION", "eu-south-1"),
    ):
        monkeypatch.setenv(name, value)
    yield import_module
    for name in ("sender", "receiver", "line"):
        sys.modules.pop(name, None)


@pytest.fixture
def between(modules: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Between:
    stands_in = Between()
    for client in ("functions", "topics", "streams"):
        monkeypatch.setattr(modules("sender"), client, stands_in)
    return stands_in


@pytest.fixture
def sender(modules: Callable[[str], ModuleType], between: Between) -> ModuleType:
    return modules("sender")


@pytest.fixture
def receiver(modules: Callable[[str], ModuleType]) -> ModuleType:
    return modules("receiver")


def order(way: str, size: int = 1024, work_ms: int = 0) -> dict[str, Any]:
    return {"id": "run:7", "way": way, "size": size, "workMs": work_ms, "traceparent": ORDER_TRACE}


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("way", WAYS)
def test_a_message_reaches_the_receiver_by_every_way_and_both_lines_tell_of_it(
    sender: ModuleType,
    receiver: ModuleType,
    between: Between,
    capsys: pytest.CaptureFixture[str],
    way: str,
) -> None:
    sender.handle(order(way), None)
    (event,) = between.events
    receiver.handle(event, None)
    sent, received = lines(capsys)
    assert (sent["event"], sent["id"], sent["way"], sent["size"]) == ("sent", "run:7", way, 1024)
    assert (received["event"], received["id"], received["way"]) == ("received", "run:7", way)
    assert received["delivery"] == pytest.approx(received["receivedAt"] - sent["sentAt"], abs=0.002)
    assert sent["sentAt"] <= received["receivedAt"] <= received["handledAt"]
    assert sent["operation"] >= 0


def test_each_way_is_the_call_that_it_is_named_after(sender: ModuleType, between: Between) -> None:
    for way in WAYS:
        sender.handle(order(way), None)
    told = [
        {name: value for name, value in call.items() if name not in {"Payload", "Message", "Data"}}
        for call in between.calls
    ]
    keys = [call.pop("PartitionKey") for call in told[3:]]
    assert told == [
        {"FunctionName": RECEIVER},
        {"FunctionName": RECEIVER, "InvocationType": "Event"},
        {"TopicArn": TOPIC},
        {"StreamARN": STREAMS["kinesis"]},
        {"StreamARN": STREAMS["fan-out"]},
    ]
    assert len(set(keys)) == 2, "a key of its own spreads messages over shards"


def test_a_trace_can_be_made_of_what_the_two_lines_and_the_payload_carry(
    sender: ModuleType, receiver: ModuleType, between: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    sender.handle(order("sns"), None)
    receiver.handle(between.events[0], None)
    sent, received = lines(capsys)
    assert sent["parent"] == ORDER_TRACE
    assert received["parent"] == sent["traceparent"]
    version, trace, span, flags = sent["traceparent"].split("-")
    assert (version, trace, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01")
    assert len(span) == 16
    assert span != "00f067aa0ba902b7"


@given(size=st.integers(300, 245_760))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_payload_has_the_size_that_was_ordered_to_the_byte(
    sender: ModuleType, between: Between, size: int
) -> None:
    sender.handle(order("synchronous", size), None)
    assert len(between.calls[-1]["Payload"].encode()) == size


def test_a_message_that_is_longer_than_the_order_is_sent_whole(sender: ModuleType, between: Between) -> None:
    sender.handle(order("synchronous", 10), None)
    assert between.events[0]["id"] == "run:7"


def test_a_sender_is_cold_the_first_time_that_it_goes_a_way(
    sender: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    for way in ("sns", "sns", "synchronous", "sns"):
        sender.handle(order(way), None)
    assert [line["cold"] for line in lines(capsys)] == [True, False, True, False]


def test_a_receiver_is_cold_once_for_all_ways(
    sender: ModuleType, receiver: ModuleType, between: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    for way in ("sns", "kinesis"):
        sender.handle(order(way), None)
    for event in between.events:
        receiver.handle(event, None)
    assert [line["cold"] for line in lines(capsys) if line["event"] == "received"] == [True, False]


def test_the_receiver_works_as_long_as_it_is_asked_to(
    sender: ModuleType, receiver: ModuleType, between: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    sender.handle(order("asynchronous", work_ms=30), None)
    receiver.handle(between.events[0], None)
    _, received = lines(capsys)
    assert received["handledAt"] - received["receivedAt"] >= 30


def test_a_batch_is_as_many_messages_as_it_has_records(
    sender: ModuleType, receiver: ModuleType, between: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        sender.handle(order("kinesis"), None)
    capsys.readouterr()
    receiver.handle({"Records": [event["Records"][0] for event in between.events]}, None)
    received = lines(capsys)
    assert len(received) == 3
    assert len({line["receivedAt"] for line in received}) == 1


def test_a_receiver_that_fails_fails_a_synchronous_sender(sender: ModuleType, between: Between) -> None:
    between.error = {"FunctionError": "Unhandled"}
    with pytest.raises(RuntimeError, match=r"the receiver failed: .*broken"):
        sender.handle(order("synchronous"), None)
    sender.handle(order("asynchronous"), None)


def test_a_failed_message_is_not_logged_as_sent(
    sender: ModuleType, between: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    between.error = {"FunctionError": "Unhandled"}
    with pytest.raises(RuntimeError):
        sender.handle(order("synchronous"), None)
    assert lines(capsys) == []


def test_the_sender_s_clients_never_try_twice(modules: Callable[[str], ModuleType]) -> None:
    module = modules("sender")
    for client in (module.functions, module.topics, module.streams):
        assert client.meta.config.retries["total_max_attempts"] == 1


def test_the_lines_are_metrics_that_cloudwatch_takes(
    sender: ModuleType, receiver: ModuleType, between: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    sender.handle(order("sns"), None)
    receiver.handle(between.events[0], None)
    for line, metric in zip(lines(capsys), ("operation", "delivery"), strict=True):
        assert line["_aws"]["CloudWatchMetrics"] == [
            {
                "Namespace": "statecast",
                "Dimensions": [["way"]],
                "Metrics": [{"Name": metric, "Unit": "Milliseconds"}],
            }
        ]
        assert isinstance(line["_aws"]["Timestamp"], int)
        assert isinstance(line[metric], float)
