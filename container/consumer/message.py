"""What a queue's message says: a pure decoder from SQS messages, and from items of the table, to changes.

It never raises: whatever cannot be understood is a `Refusal` with its reason.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, cast

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: partition keys.
MAX_ID_BYTES = 2_048
# A reason quotes what was received; it goes into a log line and into the lease.
MAX_REASON = 200

# What the inbox must ask SQS for besides the body.
SYSTEM_ATTRIBUTES = ("SentTimestamp", "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount")


class Change(NamedTuple):
    """One item's new state. `item` is its DynamoDB JSON, compact; None: deleted."""

    id: str
    version: int
    item: str | None


class Refusal(NamedTuple):
    """A message that cannot be applied, and why; of which change, where that is known.

    `published` is the id that SNS gave it, which all its copies have; `sent_at` is SQS's clock, 0 if unknown.
    """

    message: str
    reason: str
    receives: int
    id: str | None = None
    version: int | None = None
    published: str | None = None
    sent_at: int = 0


class Delivery(NamedTuple):
    """A message that was understood. Clocks are Unix milliseconds.

    `made_at` is DynamoDB's clock, rounded down to a second; 0 where the record has none. With `pointer` the
    image was too large for SNS: the item is to be read; `change.item` is its identity.
    """

    message: str
    change: Change
    pointer: bool
    forwarder: str
    receives: int
    made_at: int
    written_at: int | None
    traceparent: str | None
    sns_at: int
    sqs_sent_at: int
    sqs_first_received_at: int

    def refused(self, reason: str) -> Refusal:
        """The same message when it cannot be applied after all."""
        return Refusal(
            self.message,
            reason[:MAX_REASON],
            self.receives,
            self.change.id,
            self.change.version,
            sent_at=self.sqs_sent_at,
        )


class _RefusedError(Exception):
    def __init__(self, reason: str, item_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.item_id = item_id


def decode(message: Mapping[str, Any], table: str) -> Delivery | Refusal:
    """What an SQS message (with `SYSTEM_ATTRIBUTES`) means to a replica of `table`."""
    name = str(message.get("MessageId"))
    receives = sent_at = 0
    envelope: Any = None
    try:
        attributes = message["Attributes"]
        receives = int(attributes["ApproximateReceiveCount"])
        sent_at = int(attributes["SentTimestamp"])
        first_received_at = int(attributes["ApproximateFirstReceiveTimestamp"])
        envelope = json.loads(message["Body"])
        record, forwarder = _record(json.loads(envelope["Message"]), envelope)
        sns_at = _milliseconds(envelope["Timestamp"])
        change, written_at, traceparent = _change(record, table)
        made_at = int(record["dynamodb"].get("ApproximateCreationDateTime", 0)) * 1000
    except _RefusedError as refused:
        reason, item_id = refused.reason, refused.item_id
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        reason, item_id = f"not a stream record in an SNS envelope: {error!r}", None
    else:
        pointer = change.item is not None and record.get("pointer") is True
        return Delivery(
            name,
            change,
            pointer,
            forwarder,
            receives,
            made_at,
            written_at,
            traceparent,
            sns_at,
            sent_at,
            first_received_at,
        )
    return Refusal(
        name, reason[:MAX_REASON], receives, item_id, published=_published(envelope), sent_at=sent_at
    )


def from_item(image: Mapping[str, Any]) -> Change | None:
    """The put that an item read from the table amounts to; None when it carries no version."""
    try:
        return Change(image["id"]["S"], int(image["version"]["N"]), compact(image))
    except (KeyError, ValueError):
        return None


def written_at_of(change: Change) -> int | None:
    """The writer's clock that a put carries, Unix milliseconds; None where it carries none."""
    return _written_at(json.loads(change.item)) if change.item else None


def traceparent_of(change: Change) -> str | None:
    """The trace context of the write that a put carries."""
    try:
        return json.loads(change.item)["traceparent"]["S"] if change.item else None
    except (KeyError, TypeError):
        return None


def _change(record: Mapping[str, Any], table: str) -> tuple[Change, int | None, str | None]:
    source = record["eventSourceARN"]
    if f":table/{table}/" not in source:
        raise _RefusedError(f"a change of another table: {source}")
    body = record["dynamodb"]
    item_id: str = body["Keys"]["id"]["S"]
    if not 0 < len(item_id.encode()) <= MAX_ID_BYTES:
        raise _RefusedError(f"the key 'id' is not of 1 to {MAX_ID_BYTES:,} bytes")
    event = record["eventName"]
    if event == "REMOVE":
        return Change(item_id, _version(body["OldImage"], item_id) + 1, None), None, None
    if event not in {"INSERT", "MODIFY"}:
        raise _RefusedError(f"eventName is {event!r}, not INSERT, MODIFY or REMOVE", item_id)
    image = body["NewImage"]
    change = Change(item_id, _version(image, item_id), compact(image))
    return change, _written_at(image), image.get("traceparent", {}).get("S")


def _written_at(image: Mapping[str, Any]) -> int | None:
    # A clock is for measuring: a change without a good one is a change all the same.
    try:
        return int(Decimal(image["writtenAt"]["N"]))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _version(image: Mapping[str, Any], item_id: str) -> int:
    try:
        return int(image["version"]["N"])
    except (KeyError, TypeError, ValueError):
        raise _RefusedError("the item has no whole number 'version'", item_id) from None


def _published(envelope: Any) -> str | None:
    name: Any = cast(Any, envelope).get("MessageId") if isinstance(envelope, dict) else None
    return name[:MAX_REASON] if isinstance(name, str) else None


def _record(message: Mapping[str, Any], envelope: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The stream record of a message, and the forwarder that it came by."""
    # A bus hands on EventBridge's whole event. Neither it nor a pipe can set message attributes: without
    # one, what is no event came straight from a pipe.
    if (message.get("source"), message.get("detail-type")) == ("statecast", "change"):
        return message["detail"], "bus"
    attributes: Any = envelope.get("MessageAttributes") or {}
    return message, str(attributes["forwarder"]["Value"]) if "forwarder" in attributes else "pipe"


def _milliseconds(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def _binary(value: bytes) -> str:
    # boto3 gives binary values of a Scan as bytes; the stream gives them as base64, which is kept.
    return b64encode(value).decode()


compact = json.JSONEncoder(separators=(",", ":"), default=_binary).encode
