"""The redriver: what a forwarder gave up is read from the stream once more, and published as pointers."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from redriver_metrics import LOST, NAMESPACE

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html. Ten pointers are well below its 256 KiB:
# an id has 2 KB at most.
MAX_ENTRIES = 10
ATTRIBUTES: dict[str, Any] = {"forwarder": {"DataType": "String", "StringValue": "redriver"}}
# What is left of an image in a pointer.
IDENTITY = ("id", "version", "writtenAt", "traceparent")
SYSTEM_PREFIX = "statecast:"
# In time for a call that is tried again, and for the rest of the range to be sent on.
RESERVE_MILLISECONDS = 10_000
PAUSE_SECONDS = 0.2

TOPIC_ARN = os.environ["TOPIC_ARN"]
FAILURE_QUEUE_URL = os.environ["FAILURE_QUEUE_URL"]
DEAD_LETTER_QUEUE_URL = os.environ["DEAD_LETTER_QUEUE_URL"]

# A connection that hangs is tried again before the function ends: boto3 itself waits for a minute.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})

sns = boto3.client("sns", config=CONFIG)
sqs = boto3.client("sqs", config=CONFIG)
streams = boto3.client("dynamodbstreams", config=CONFIG)


class Range(NamedTuple):
    """A part of a shard, and how many records a forwarder saw in it. Both ends are of it."""

    stream: str
    shard: str
    first: str
    last: str
    size: int

    @property
    def table(self) -> str:
        """The name of the stream's table."""
        return self.stream.split("/")[1]


def handle(event: dict[str, Any], context: Any) -> None:
    """Redrive the range of one message. Raises where another try may help: the queue gives it again."""
    (message,) = event["Records"]
    body = message["body"]
    try:
        asked = range_of(body)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        reason = f"not a record of a failed batch: {error!r}"
        give_up(body, reason)
        log("refused", message=message["messageId"], reason=reason)
        return
    redrive(asked, body, context)


def range_of(body: str) -> Range:
    """The range that a record of a failed batch tells of: a Lambda's and a Pipe's have that in common."""
    told = json.loads(body)["DDBStreamBatchInfo"]
    asked = Range(
        told["streamArn"],
        told["shardId"],
        told["startSequenceNumber"],
        told["endSequenceNumber"],
        int(told["batchSize"]),
    )
    if int(asked.first) > int(asked.last) or not asked.table:
        raise ValueError(f"{asked} is no range of a table's stream")
    return asked


def redrive(asked: Range, body: str, context: Any) -> None:
    """Publish what the stream still has of a range, tell what it has not, and send on what takes too long."""
    found = published = 0
    last = asked.first
    for chunk in in_tens(pages(asked)):
        changes = [record for record in chunk if not _is_system(record)]
        publish(asked.stream, changes)
        found += len(chunk)
        published += len(changes)
        last = chunk[-1]["dynamodb"]["SequenceNumber"] if chunk else last
        is_short = context.get_remaining_time_in_millis() < RESERVE_MILLISECONDS
        if is_short and int(last) < int(asked.last):
            send_on(asked, body, last, found)
            log("sent on", asked, published=published, rest=last)
            return
    log("redriven", asked, published=published)
    if found < asked.size:
        reason = f"the stream had {found} of the range's {asked.size} records left"
        give_up(body, reason)
        log("lost", asked, reason=reason, **{LOST: asked.size - found})


def pages(asked: Range) -> Iterator[list[dict[str, Any]]]:
    """What the stream has of a range, a page at a time; a page may hold nothing of it."""
    try:
        yield from _pages(asked, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=asked.first)
    except streams.exceptions.TrimmedDataAccessException:
        yield from _pages(asked, ShardIteratorType="TRIM_HORIZON")


def _pages(asked: Range, **start: Any) -> Iterator[list[dict[str, Any]]]:
    try:
        answer = streams.get_shard_iterator(StreamArn=asked.stream, ShardId=asked.shard, **start)
    except streams.exceptions.ResourceNotFoundException:
        return  # the shard has left the stream with its last record
    iterator = answer["ShardIterator"]
    while iterator:
        page = streams.get_records(ShardIterator=iterator)
        numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in page["Records"]]
        yield [
            record
            for number, record in zip(numbers, page["Records"], strict=True)
            if int(asked.first) <= number <= int(asked.last)
        ]
        if max(numbers, default=-1) >= int(asked.last):
            return
        if not numbers:
            time.sleep(PAUSE_SECONDS)  # an empty page does not mean that no more follow
        iterator = page.get("NextShardIterator")


def in_tens(pages: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Pages, each in as many parts as it takes calls of PublishBatch, and at least one."""
    for page in pages:
        for start in range(0, len(page) or 1, MAX_ENTRIES):
            yield page[start : start + MAX_ENTRIES]


def publish(stream: str, changes: list[dict[str, Any]]) -> None:
    """Publish pointers to changes. Raises when one is refused; all are published again then, to no harm."""
    if not changes:
        return
    entries: Any = [
        {"Id": str(number), "Message": pointer(record, stream), "MessageAttributes": ATTRIBUTES}
        for number, record in enumerate(changes)
    ]
    failed = sns.publish_batch(TopicArn=TOPIC_ARN, PublishBatchRequestEntries=entries).get("Failed")
    if failed:
        told = f"{failed[0]['Code']}: {failed[0].get('Message', '')}"
        raise RuntimeError(f"{len(failed)} of {len(entries)} pointers were not published: {told}")


def pointer(record: dict[str, Any], stream: str) -> str:
    """What GetRecords says of a change, as a forwarder's pointer."""
    change = record["dynamodb"]
    images = {
        name: {attribute: change[name][attribute] for attribute in IDENTITY if attribute in change[name]}
        for name in ("NewImage", "OldImage")
        if name in change
    }
    made_at = int(change["ApproximateCreationDateTime"].timestamp())
    body = {
        **record,
        "eventSourceARN": stream,
        "pointer": True,
        "dynamodb": {**change, **images, "ApproximateCreationDateTime": made_at},
    }
    # Escaped to ASCII, as a forwarder does. What JSON cannot hold is no version: tasks refuse it by name.
    return json.dumps(body, separators=(",", ":"), default=str)


def send_on(asked: Range, body: str, last: str, found: int) -> None:
    """Put what is left of a range back as a message of its own, from the last record that was published.

    Where the next record is, the stream alone knows. Raises TimeoutError when that would be the same message.
    """
    if last == asked.first:
        raise TimeoutError(f"{asked}: time ran out at its first record")
    told = json.loads(body)
    told["DDBStreamBatchInfo"] |= {
        "startSequenceNumber": last,
        "batchSize": max(1, asked.size - found + 1),
    }
    sqs.send_message(QueueUrl=FAILURE_QUEUE_URL, MessageBody=json.dumps(told))


def give_up(body: str, reason: str) -> None:
    """Send a message to the dead-letter queue, with the reason as an attribute."""
    sqs.send_message(
        QueueUrl=DEAD_LETTER_QUEUE_URL,
        MessageBody=body,
        MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
    )


def log(event: str, asked: Range | None = None, **fields: Any) -> None:
    """Write a line; LOST in it is a metric, in CloudWatch's embedded metric format."""
    at = int(time.time() * 1000)
    line: dict[str, Any] = {"event": event, "at": at}
    if asked:
        line |= {"table": asked.table, "shard": asked.shard, "first": asked.first, "last": asked.last}
    if LOST in fields:
        metric = {
            "Namespace": NAMESPACE,
            "Dimensions": [["table"]],
            "Metrics": [{"Name": LOST, "Unit": "Count"}],
        }
        line["_aws"] = {"Timestamp": at, "CloudWatchMetrics": [metric]}
    sys.stdout.write(json.dumps({**line, **fields}) + "\n")


def _is_system(record: dict[str, Any]) -> bool:
    # Tasks apply none of them, and a watermark by this way tells nothing of a forwarder.
    return record["dynamodb"]["Keys"]["id"]["S"].startswith(SYSTEM_PREFIX)
