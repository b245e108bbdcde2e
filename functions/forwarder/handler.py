"""The Lambda forwarder: each record of the table's stream, as it is, to the topic."""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html: entries, and bytes of them all.
MAX_ENTRIES = 10
MAX_BYTES = 262_144
ATTRIBUTES: dict[str, Any] = {"forwarder": {"DataType": "String", "StringValue": "lambda"}}
ATTRIBUTES_BYTES = len("forwarder" + "String" + "lambda")
# What is left of an image in a pointer.
IDENTITY = ("id", "version", "writtenAt", "traceparent")

TOPIC_ARN = os.environ["TOPIC_ARN"]
PARTIAL_FAILURE = os.environ["PARTIAL_FAILURE"]
if PARTIAL_FAILURE not in {"report", "raise"}:
    raise ValueError(f"PARTIAL_FAILURE is {PARTIAL_FAILURE!r}: give 'report' or 'raise'")

# A connection that hangs is tried again before the function ends: boto3 itself waits for a minute.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})

sns = boto3.client("sns", config=CONFIG)


class Message(NamedTuple):
    """A record as it is published, and its place in the stream."""

    sequence_number: str
    body: str

    @property
    def size(self) -> int:
        """What it counts towards SNS's limit, in bytes; the body is ASCII."""
        return len(self.body) + ATTRIBUTES_BYTES


class Failure(NamedTuple):
    """The first record that was not published, and why."""

    sequence_number: str
    reason: str


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 (Lambda's signature)
    """Publish a batch of stream records; a failure is reported or raised as PARTIAL_FAILURE says."""
    failure = publish(chunks(message_of(record) for record in event["Records"]))
    if failure is None:
        return {"batchItemFailures": []}
    explanation = f"Not published from sequence number {failure.sequence_number} on: {failure.reason}"
    if PARTIAL_FAILURE == "raise":
        raise RuntimeError(explanation)
    logging.error(explanation)
    return {"batchItemFailures": [{"itemIdentifier": failure.sequence_number}]}


def message_of(record: dict[str, Any]) -> Message:
    """The record, or a pointer to its item where the whole record is over the limit."""
    change = record["dynamodb"]
    message = Message(change["SequenceNumber"], _compact(record))
    if message.size <= MAX_BYTES:
        return message
    images = {
        name: {attribute: change[name][attribute] for attribute in IDENTITY if attribute in change[name]}
        for name in ("NewImage", "OldImage")
        if name in change
    }
    pointer = {**record, "pointer": True, "dynamodb": {**change, **images}}
    return Message(message.sequence_number, _compact(pointer))


def chunks(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages in order, in as many PublishBatch calls as the limits need."""
    chunk: list[Message] = []
    size = 0
    for message in messages:
        if chunk and (len(chunk) == MAX_ENTRIES or size + message.size > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += message.size
    if chunk:
        yield chunk


def publish(calls: Iterable[list[Message]]) -> Failure | None:
    """Publish chunk after chunk; the first failure, and nothing after its chunk.

    Lambda sends everything from the lowest failed record again, so what followed would only be sent twice.
    """
    for chunk in calls:
        entries: Any = [
            {"Id": str(number), "Message": message.body, "MessageAttributes": ATTRIBUTES}
            for number, message in enumerate(chunk)
        ]
        try:
            failed = sns.publish_batch(TopicArn=TOPIC_ARN, PublishBatchRequestEntries=entries).get("Failed")
        except (BotoCoreError, ClientError) as error:
            return Failure(chunk[0].sequence_number, str(error))
        if failed:
            first = min(failed, key=lambda entry: int(entry["Id"]))
            return Failure(
                chunk[int(first["Id"])].sequence_number,
                f"{first['Code']}: {first.get('Message', '')} ({len(failed)} of {len(chunk)} entries failed)",
            )
    return None


def _compact(record: dict[str, Any]) -> str:
    # Escaped to ASCII: SNS and SQS refuse some characters that DynamoDB stores.
    return json.dumps(record, separators=(",", ":"))
