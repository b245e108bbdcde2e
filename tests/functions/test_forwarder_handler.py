"""The Lambda forwarder, with SNS replaced by what it answers."""

import importlib.util
import json
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

PATH = Path(__file__).parents[2] / "functions" / "forwarder" / "handler.py"
TOPIC = "arn:aws:sns:eu-south-1:000000000000:changes"
STREAM = "arn:aws:dynamodb:eu-south-1:000000000000:table/items/stream/2026-01-01T00:00:00.000"


def load(partial_failure: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"handler_{partial_failure}", PATH)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPIC_ARN", TOPIC)
        patch.setenv("PARTIAL_FAILURE", partial_failure)
        patch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
        specification.loader.exec_module(module)
    return module


HANDLER = load("report")


class Topic:
    """Takes every entry, but those whose sequence number is in `refused`; fails the calls in `broken`."""

    def __init__(self, refused: Collection[str] = (), broken: Collection[int] = ()) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self._refused = refused
        self._broken = broken

    def publish_batch(self, **call: Any) -> Any:
        assert call["TopicArn"] == TOPIC
        entries = call["PublishBatchRequestEntries"]
        self.calls.append(entries)
        if len(self.calls) - 1 in self._broken:
            error = {"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}
            raise ClientError(error, "PublishBatch")  # type: ignore[arg-type]
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "Message": "try again", "SenderFault": False}
            for entry in entries
            if json.loads(entry["Message"])["dynamodb"]["SequenceNumber"] in self._refused
        ]
        # The order of the answer is not promised.
        return {"Failed": failed[::-1], "Successful": []}

    def sequence_numbers(self) -> list[str]:
        return [
            json.loads(entry["Message"])["dynamodb"]["SequenceNumber"]
            for call in self.calls
            for entry in call
        ]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Topic]:
    def make(module: ModuleType = HANDLER, **answers: Any) -> Topic:
        topic = Topic(**answers)
        monkeypatch.setattr(module, "sns", topic)
        return topic

    return make


def image(item_id: str, version: int, **attributes: Any) -> dict[str, Any]:
    return {
        "id": {"S": item_id},
        "version": {"N": str(version)},
        "writtenAt": {"N": "1700000000000"},
        "traceparent": {"S": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        **attributes,
    }


def record(sequence: int, payload: str = "", event: str = "MODIFY") -> dict[str, Any]:
    images = {"OldImage": image("a", sequence - 1, payload={"S": payload})}
    if event != "REMOVE":
        images["NewImage"] = image("a", sequence, payload={"S": payload})
    return {
        "eventID": f"event-{sequence}",
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-south-1",
        "eventSourceARN": STREAM,
        "dynamodb": {
            "ApproximateCreationDateTime": 1700000000.0,
            "Keys": {"id": {"S": "a"}},
            **images,
            "SequenceNumber": str(sequence),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def event(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def bytes_of(entry: dict[str, Any]) -> int:
    """As SNS counts: the body, and each attribute's name, type and value."""
    return len(entry["Message"].encode()) + sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"])
        for name, value in entry["MessageAttributes"].items()
    )


def test_a_record_is_published_as_it_is_and_marked(published: Callable[..., Topic]) -> None:
    topic = published()
    assert HANDLER.handle(event(record(1, "é\ufffe")), None) == {"batchItemFailures": []}
    [[entry]] = topic.calls
    assert json.loads(entry["Message"]) == record(1, "é\ufffe")
    assert entry["MessageAttributes"] == {"forwarder": {"DataType": "String", "StringValue": "lambda"}}
    assert entry["Message"].isascii()


def test_an_empty_batch_publishes_nothing(published: Callable[..., Topic]) -> None:
    topic = published()
    assert HANDLER.handle(event(), None) == {"batchItemFailures": []}
    assert topic.calls == []


@given(sizes=st.lists(st.integers(0, 140_000), max_size=35))
def test_no_call_exceeds_the_limits_and_nothing_is_lost_or_reordered(sizes: list[int]) -> None:
    topic = Topic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HANDLER, "sns", topic)
        records = [record(number, "x" * size) for number, size in enumerate(sizes)]
        HANDLER.handle(event(*records), None)
    assert topic.sequence_numbers() == [str(number) for number in range(len(sizes))]
    for call in topic.calls:
        assert 1 <= len(call) <= 10
        assert sum(map(bytes_of, call)) <= 262_144
        assert len({entry["Id"] for entry in call}) == len(call)


def test_calls_are_as_few_as_the_limits_allow(published: Callable[..., Topic]) -> None:
    topic = published()
    HANDLER.handle(event(*(record(number) for number in range(100))), None)
    assert [len(call) for call in topic.calls] == [10] * 10


@pytest.mark.parametrize(("spare", "pointer"), [(0, False), (-1, True)])
def test_a_record_is_a_pointer_from_the_first_byte_over_the_limit(
    published: Callable[..., Topic], spare: int, pointer: bool
) -> None:
    topic = published()
    bare = record(1, event="REMOVE")
    overhead = len(json.dumps(bare, separators=(",", ":"))) + len("forwarderStringlambda")
    HANDLER.handle(event(record(1, "x" * (262_144 - overhead - spare), event="REMOVE")), None)
    message = json.loads(topic.calls[0][0]["Message"])
    assert ("pointer" in message) is pointer
    if not pointer:
        assert bytes_of(topic.calls[0][0]) == 262_144


def test_a_pointer_keeps_keys_and_what_identifies_the_write(published: Callable[..., Topic]) -> None:
    topic = published()
    HANDLER.handle(event(record(7, "x" * 400_000)), None)
    expected = record(7)
    expected["pointer"] = True
    expected["dynamodb"]["NewImage"] = image("a", 7)
    expected["dynamodb"]["OldImage"] = image("a", 6)
    assert json.loads(topic.calls[0][0]["Message"]) == expected


def test_the_lowest_failed_sequence_number_is_reported(published: Callable[..., Topic]) -> None:
    published(refused={"13", "17", "15"})
    answer = HANDLER.handle(event(*(record(number) for number in range(10, 20))), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "13"}]}


def test_nothing_is_published_after_a_failed_chunk(published: Callable[..., Topic]) -> None:
    topic = published(refused={"15"})
    HANDLER.handle(event(*(record(number) for number in range(35))), None)
    assert topic.sequence_numbers() == [str(number) for number in range(20)]


def test_a_call_that_fails_fails_from_its_first_record(published: Callable[..., Topic]) -> None:
    topic = published(broken={1})
    answer = HANDLER.handle(event(*(record(number) for number in range(35))), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "10"}]}
    assert len(topic.calls) == 2


def test_raise_mode_raises_and_says_from_where_and_why(published: Callable[..., Topic]) -> None:
    module = load("raise")
    topic = published(module, refused={"2"})
    with pytest.raises(RuntimeError, match=r"from sequence number 2 on: InternalError: try again \(1 of 3"):
        module.handle(event(record(1), record(2), record(3)), None)
    assert topic.sequence_numbers() == ["1", "2", "3"], "it raises after publishing"


def test_raise_mode_returns_when_all_went_well(published: Callable[..., Topic]) -> None:
    module = load("raise")
    published(module)
    assert module.handle(event(record(1)), None) == {"batchItemFailures": []}


def test_an_unknown_mode_is_refused_at_import() -> None:
    with pytest.raises(ValueError, match="PARTIAL_FAILURE is 'ignore': give 'report' or 'raise'"):
        load("ignore")


def test_a_connection_that_hangs_is_tried_again_before_the_function_ends() -> None:
    for client in (HANDLER.sns,):
        config = client.meta.config
        tries = config.retries["total_max_attempts"]
        assert tries * (config.connect_timeout + config.read_timeout) < 30
