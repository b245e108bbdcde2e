"""The redriver, with the stream, SNS and SQS replaced by what they answer."""

import importlib.util
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions import test_forwarder_handler

PATH = Path(__file__).parents[2] / "functions" / "redriver" / "handler.py"
BATCHES = Path(__file__).parent / "failed_batches"
TOPIC = "arn:aws:sns:eu-south-1:000000000000:changes"
STREAM = "arn:aws:dynamodb:eu-south-1:000000000000:table/items/stream/2026-01-01T00:00:00.000"
SHARD = "shardId-00000001573689847184-864758bb"
FAILURES, DEAD_LETTERS = "https://sqs/failures", "https://sqs/failures-dlq"


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("redriver_handler", PATH)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PATH.parent)
        patch.setenv("TOPIC_ARN", TOPIC)
        patch.setenv("FAILURE_QUEUE_URL", FAILURES)
        patch.setenv("DEAD_LETTER_QUEUE_URL", DEAD_LETTERS)
        patch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
        specification.loader.exec_module(module)
    return module


HANDLER = load()


def error(code: str, operation: str) -> ClientError:
    made = HANDLER.streams.exceptions.from_code(code)
    return made({"Error": {"Code": code, "Message": "as AWS says"}}, operation)


def image(item_id: str, version: int) -> dict[str, Any]:
    return {
        "id": {"S": item_id},
        "version": {"N": str(version)},
        "writtenAt": {"N": "1700000000000"},
        "payload": {"B": b"\x00"},
    }


def record(number: int, event: str = "MODIFY", item_id: str = "a") -> dict[str, Any]:
    """As boto3 gives what GetRecords answers."""
    images = {"OldImage": image(item_id, number - 1)}
    if event != "REMOVE":
        images["NewImage"] = image(item_id, number)
    return {
        "eventID": f"event-{number}",
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-south-1",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime.fromtimestamp(1700000000, UTC),
            "Keys": {"id": {"S": item_id}},
            **images,
            "SequenceNumber": str(number),
            "SizeBytes": 80,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


@dataclass
class Cloud:
    """One shard, a topic, and two queues; each call costs a second of the function's time."""

    shard: list[dict[str, Any]]
    page: int = 1000
    trimmed: int = 0  # records before this number have left the stream
    missing: bool = False  # and so has the shard
    open: bool = True
    empty_pages: int = 0
    refused: Collection[str] = ()
    expired: bool = False
    published: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    sent: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    seconds_left: int = 1_000_000
    starts: list[str] = field(default_factory=list[str])

    exceptions = HANDLER.streams.exceptions

    def get_shard_iterator(self, **call: Any) -> Any:
        assert (call["StreamArn"], call["ShardId"]) == (STREAM, SHARD)
        self.starts.append(call["ShardIteratorType"])
        if self.missing:
            raise error("ResourceNotFoundException", "GetShardIterator")
        first = int(call.get("SequenceNumber", self.trimmed))
        if first < self.trimmed:
            raise error("TrimmedDataAccessException", "GetShardIterator")
        return {"ShardIterator": str(first)}

    def get_records(self, ShardIterator: str) -> Any:  # noqa: N803
        if self.expired:
            raise error("ExpiredIteratorException", "GetRecords")
        self.seconds_left -= 1
        if self.empty_pages:
            self.empty_pages -= 1
            return {"Records": [], "NextShardIterator": ShardIterator}
        at = max(int(ShardIterator), self.trimmed)
        left = [one for one in self.shard if int(one["dynamodb"]["SequenceNumber"]) >= at]
        found = left[: self.page]
        next_at = str(int(found[-1]["dynamodb"]["SequenceNumber"]) + 1) if found else ShardIterator
        ended = not self.open and len(found) == len(left)
        return {"Records": found} | ({} if ended else {"NextShardIterator": next_at})

    def publish_batch(self, **call: Any) -> Any:
        assert call["TopicArn"] == TOPIC
        self.seconds_left -= 1
        entries = call["PublishBatchRequestEntries"]
        assert 1 <= len(entries) <= 10
        assert len({entry["Id"] for entry in entries}) == len(entries)
        failed = [entry for entry in entries if json.loads(entry["Message"])["eventID"] in self.refused]
        self.published += [entry for entry in entries if entry not in failed]
        told = {"Code": "Throttled", "Message": "Rate exceeded", "SenderFault": False}
        return {"Failed": [{"Id": entry["Id"], **told} for entry in failed]}

    def send_message(self, **call: Any) -> None:
        self.sent.append(call)

    def get_remaining_time_in_millis(self) -> int:
        return self.seconds_left * 1000

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(entry["Message"]) for entry in self.published]

    @property
    def numbers(self) -> list[int]:
        return [int(message["dynamodb"]["SequenceNumber"]) for message in self.messages]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cloud]:
    def make(*shard: dict[str, Any], **state: Any) -> Cloud:
        made = Cloud(list(shard), **state)
        for client in ("streams", "sns", "sqs"):
            monkeypatch.setattr(HANDLER, client, made)
        monkeypatch.setattr(HANDLER.time, "sleep", lambda _: None)
        return made

    return make


def failed_batch(first: int, last: int, size: int | None = None, of: str = "lambda") -> str:
    told = json.loads((BATCHES / f"{of}.json").read_text())
    told["DDBStreamBatchInfo"] |= {
        "shardId": SHARD,
        "startSequenceNumber": str(first),
        "endSequenceNumber": str(last),
        "batchSize": last - first + 1 if size is None else size,
        "streamArn": STREAM,
    }
    return json.dumps(told)


def redrive(body: str, cloud: Cloud) -> None:
    HANDLER.handle({"Records": [{"messageId": "m", "body": body}]}, cloud)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("of", ["lambda", "pipe"])
def test_what_either_forwarder_gave_up_is_published_as_pointers(of: str, cloud: Callable[..., Cloud]) -> None:
    made = cloud(*(record(number) for number in range(1, 31)))
    redrive(failed_batch(5, 27, of=of), made)
    assert made.numbers == list(range(5, 28)), "both ends are of the range"
    assert made.sent == []


@pytest.mark.parametrize("of", ["lambda", "pipe"])
def test_the_recorded_messages_are_understood(of: str) -> None:
    body = (BATCHES / f"{of}.json").read_text()
    info = json.loads(body)["DDBStreamBatchInfo"]
    asked = HANDLER.range_of(body)
    assert (asked.stream, asked.shard) == (info["streamArn"], info["shardId"])
    assert (asked.first, asked.last, asked.size) == (
        info["startSequenceNumber"],
        info["endSequenceNumber"],
        1,
    )
    assert asked.table == {"lambda": "mytable", "pipe": "dev-application-domain"}[of]


def test_a_pointer_says_of_which_table_what_changed_and_by_whom_it_came(cloud: Callable[..., Cloud]) -> None:
    made = cloud(record(7))
    redrive(failed_batch(7, 7), made)
    identity = {"id": {"S": "a"}, "writtenAt": {"N": "1700000000000"}}
    expected = record(7)
    expected |= {"eventSourceARN": STREAM, "pointer": True}
    expected["dynamodb"] |= {
        "ApproximateCreationDateTime": 1700000000,
        "NewImage": {**identity, "version": {"N": "7"}},
        "OldImage": {**identity, "version": {"N": "6"}},
    }
    assert made.messages == [expected]
    assert made.published[0]["MessageAttributes"] == {
        "forwarder": {"DataType": "String", "StringValue": "redriver"}
    }
    assert made.published[0]["Message"].isascii()


def test_a_pointer_to_a_remove_tells_the_version_by_its_old_image(cloud: Callable[..., Cloud]) -> None:
    made = cloud(record(7, "REMOVE"))
    redrive(failed_batch(7, 7), made)
    [message] = made.messages
    assert (message["eventName"], message["pointer"]) == ("REMOVE", True)
    assert message["dynamodb"]["OldImage"]["version"] == {"N": "6"}
    assert "NewImage" not in message["dynamodb"]


def test_watermarks_are_not_published_again_and_are_not_lost(
    cloud: Callable[..., Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    made = cloud(record(1), record(2, item_id="statecast:watermark:3"), record(3))
    redrive(failed_batch(1, 3), made)
    assert made.numbers == [1, 3]
    assert made.sent == []
    [line] = lines(capsys)
    assert (line["event"], line["published"], line["table"], line["shard"], line["first"], line["last"]) == (
        *("redriven", 2, "items", SHARD, "1", "3"),
    )


def test_a_range_that_spans_pages_is_read_to_its_end_and_no_further(cloud: Callable[..., Cloud]) -> None:
    made = cloud(*(record(number) for number in range(100)), page=7, empty_pages=3)
    redrive(failed_batch(10, 40), made)
    assert made.numbers == list(range(10, 41))
    assert made.starts == ["AT_SEQUENCE_NUMBER"]


def test_a_closed_shard_ends_the_range(cloud: Callable[..., Cloud]) -> None:
    made = cloud(record(1), record(2), open=False)
    redrive(failed_batch(1, 2), made)
    assert made.numbers == [1, 2]


def test_what_was_trimmed_is_lost_by_range_and_the_rest_is_published(
    cloud: Callable[..., Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    made = cloud(*(record(number) for number in range(1, 10)), trimmed=4)
    body = failed_batch(1, 6)
    redrive(body, made)
    assert made.starts == ["AT_SEQUENCE_NUMBER", "TRIM_HORIZON"]
    assert made.numbers == [4, 5, 6]
    [letter] = made.sent
    assert (letter["QueueUrl"], letter["MessageBody"]) == (DEAD_LETTERS, body)
    assert letter["MessageAttributes"]["reason"]["StringValue"] == (
        "the stream had 3 of the range's 6 records left"
    )
    _, line = lines(capsys)
    assert (line["event"], line["lost"], line["first"], line["last"]) == ("lost", 3, "1", "6")
    assert line["_aws"]["CloudWatchMetrics"] == [
        {"Namespace": "statecast", "Dimensions": [["table"]], "Metrics": [{"Name": "lost", "Unit": "Count"}]}
    ]


@pytest.mark.parametrize("state", [{"missing": True}, {"trimmed": 50}])
def test_a_range_that_has_left_the_stream_is_lost_whole(
    state: dict[str, Any], cloud: Callable[..., Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    made = cloud(*(record(number) for number in range(50, 60)), **state)
    redrive(failed_batch(1, 6), made)
    assert made.numbers == []
    assert [letter["QueueUrl"] for letter in made.sent] == [DEAD_LETTERS]
    assert lines(capsys)[-1]["lost"] == 6


def test_an_iterator_that_expired_is_no_loss_another_try_gets_a_new_one(cloud: Callable[..., Cloud]) -> None:
    made = cloud(record(1), expired=True)
    with pytest.raises(ClientError, match="ExpiredIteratorException"):
        redrive(failed_batch(1, 1), made)
    assert made.sent == []


def test_a_refused_pointer_fails_the_range_which_is_published_again(cloud: Callable[..., Cloud]) -> None:
    made = cloud(*(record(number) for number in range(1, 31)), refused={"event-15"})
    with pytest.raises(RuntimeError, match="1 of 10 pointers were not published: Throttled: Rate exceeded"):
        redrive(failed_batch(1, 30), made)
    assert made.numbers == [*range(1, 15), *range(16, 21)], "nothing after the call that failed"
    assert made.sent == []
    made.refused = ()
    redrive(failed_batch(1, 30), made)
    assert set(made.numbers) == set(range(1, 31))


def test_a_range_that_takes_too_long_is_sent_on_in_parts_until_it_is_done(
    cloud: Callable[..., Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    made = cloud(*(record(number) for number in range(1, 101)), page=15)
    body, invocations = failed_batch(1, 100), 0
    while True:
        made.seconds_left, made.sent = 14, []
        redrive(body, made)
        invocations += 1
        if not made.sent:
            break
        [rest] = made.sent
        assert rest["QueueUrl"] == FAILURES
        body = rest["MessageBody"]
        assert json.loads(body)["requestContext"], "it still tells whose failure it was"
    assert invocations > 3
    assert set(made.numbers) == set(range(1, 101))
    told = lines(capsys)
    assert [line["event"] for line in told] == [*["sent on"] * (invocations - 1), "redriven"], "none is lost"


def test_a_range_that_is_done_just_in_time_leaves_no_rest(cloud: Callable[..., Cloud]) -> None:
    made = cloud(*(record(number) for number in range(1, 6)), seconds_left=3)
    redrive(failed_batch(1, 5), made)
    assert (made.numbers, made.sent) == ([1, 2, 3, 4, 5], [])


def test_a_loss_is_counted_once_though_the_range_is_sent_on(
    cloud: Callable[..., Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    made = cloud(*(record(number) for number in range(1, 101)), page=15, trimmed=31)
    body = failed_batch(1, 100)
    while body:
        made.seconds_left, made.sent = 14, []
        redrive(body, made)
        body = next((each["MessageBody"] for each in made.sent if each["QueueUrl"] == FAILURES), "")
    assert set(made.numbers) == set(range(31, 101))
    assert sum(line.get("lost", 0) for line in lines(capsys)) == 30


@pytest.mark.parametrize("empty_pages", [0, 99])
def test_a_range_without_progress_fails_instead_of_going_round(
    empty_pages: int, cloud: Callable[..., Cloud]
) -> None:
    # The shard is open, and its end never comes.
    made = cloud(record(1), empty_pages=empty_pages, seconds_left=15)
    with pytest.raises(TimeoutError, match="time ran out at its first record"):
        redrive(failed_batch(1, 9), made)
    assert made.sent == []


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        "[]",
        "{}",
        '{"DDBStreamBatchInfo": null}',
        json.dumps(json.loads(failed_batch(1, 1)) | {"DDBStreamBatchInfo": {"streamArn": STREAM}}),
        failed_batch(9, 1),
        failed_batch(1, 1).replace('"1"', '"one"'),
        failed_batch(1, 1).replace(STREAM, "a stream"),
    ],
)
def test_what_is_no_failed_batch_goes_to_the_dead_letters_with_the_reason(
    body: str, cloud: Callable[..., Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    made = cloud()
    redrive(body, made)
    [letter] = made.sent
    assert (letter["QueueUrl"], letter["MessageBody"]) == (DEAD_LETTERS, body)
    assert letter["MessageAttributes"]["reason"]["StringValue"].startswith("not a record of a failed batch: ")
    [line] = lines(capsys)
    assert (line["event"], line["message"]) == ("refused", "m")
    assert (made.starts, made.published) == ([], [])


def test_its_pointers_keep_what_a_forwarder_s_keep() -> None:
    assert HANDLER.IDENTITY == test_forwarder_handler.HANDLER.IDENTITY


def test_a_connection_that_hangs_is_tried_again_before_the_function_ends() -> None:
    for client in (HANDLER.sns, HANDLER.sqs, HANDLER.streams):
        config = client.meta.config
        tries = config.retries["total_max_attempts"]
        assert tries * (config.connect_timeout + config.read_timeout) < 30
