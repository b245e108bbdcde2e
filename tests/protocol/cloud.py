"""AWS in memory: the table and its stream, SNS's envelope, queues, the leases table's calls."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from types import CodeType
from typing import Any

from botocore.exceptions import ClientError

Image = dict[str, dict[str, str]]

TABLE = "states"
SOURCE = f"arn:aws:dynamodb:eu-south-1:000000000000:table/{TABLE}/stream/2026"

START_MS = 1_800_000_000_000

# The program's defaults.
RETENTION_SECONDS = 600
VISIBILITY_SECONDS = 30
MAX_RECEIVES = 5


class Table:
    """The items by the item rule of docs/message.md, and the stream of their changes."""

    def __init__(self) -> None:
        self.items: dict[str, Image] = {}
        self.stream: list[dict[str, Any]] = []
        self.past: dict[str, list[Image | None]] = {}

    def version(self, key: str, now: int) -> int:
        """SET version = if_not_exists(version, :now_ms) + :one"""
        old = self.items.get(key)
        return (int(old["version"]["N"]) if old else now) + 1

    def write(self, key: str, now: int, large: bool) -> None:
        image = {
            "id": {"S": key},
            "version": {"N": str(self.version(key, now))},
            "writtenAt": {"N": str(now)},
            "value": {"N": str(len(self.stream))},
        }
        old = self.items.get(key)
        self.items[key] = image
        self._emit(key, "MODIFY" if old else "INSERT", {"NewImage": image}, now, large)

    def delete(self, key: str, now: int) -> None:
        if old := self.items.pop(key, None):
            self._emit(key, "REMOVE", {"OldImage": old}, now, large=False)

    def get(self, key: str) -> Image | None:
        """A consistent GetItem."""
        return self.items.get(key)

    def page(self, after: str, size: int) -> tuple[list[Image], str | None]:
        """One page of a consistent Scan, in the order of the keys, and where the next one begins."""
        keys = sorted(key for key in self.items if key > after)
        last = keys[size - 1] if len(keys) > size else None
        return [self.items[key] for key in keys[:size]], last

    def _emit(self, key: str, event: str, images: dict[str, Image], now: int, large: bool) -> None:
        self.past.setdefault(key, [None]).append(self.items.get(key))
        if large:
            images = {
                name: {k: v for k, v in image.items() if k != "value"} for name, image in images.items()
            }
        record = {
            "eventID": str(len(self.stream)),
            "eventName": event,
            "eventSourceARN": SOURCE,
            "dynamodb": {"Keys": {"id": {"S": key}}, "ApproximateCreationDateTime": now // 1000, **images},
        }
        self.stream.append(record | {"pointer": True} if large else record)


def key_of(record: Mapping[str, Any]) -> str:
    return record["dynamodb"]["Keys"]["id"]["S"]


def envelope(record: Mapping[str, Any], forwarder: str, now: int) -> str:
    """What SNS makes of a record that it took from a forwarder."""
    taken = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds")
    attributes = {"forwarder": {"Type": "String", "Value": "lambda"}} if forwarder == "lambda" else {}
    return json.dumps({"Message": json.dumps(record), "Timestamp": taken, "MessageAttributes": attributes})


class Message:
    """A message in a queue, about one key. Its receipt is the count of its receives."""

    __slots__ = ("body", "key", "receives", "sent_at", "visible_at")

    def __init__(self, key: str, body: str, sent_at: int) -> None:
        self.key = key
        self.body = body
        self.sent_at = sent_at
        self.visible_at = sent_at
        self.receives = 0


class Queue:
    """A slot's queue: no order, visibility timeouts, redelivery, a retention and a last receive."""

    def __init__(self, random: Random) -> None:
        self.messages: list[Message] = []
        self._random = random

    def send(self, key: str, body: str, now: int) -> None:
        self.messages.append(Message(key, body, now))

    def expire(self, now: int) -> bool:
        """Drop what was kept, or received, for too long; whether there was any."""
        oldest = now - RETENTION_SECONDS * 1000
        kept = [
            message
            for message in self.messages
            if message.sent_at > oldest and (message.receives < MAX_RECEIVES or message.visible_at > now)
        ]
        dropped = len(kept) < len(self.messages)
        self.messages = kept
        return dropped

    def visible(self, now: int) -> list[Message]:
        return [message for message in self.messages if message.visible_at <= now]

    def receive(self, now: int, repeated: float) -> list[tuple[Message, int]]:
        """Some of the visible messages, in any order, with their receipts."""
        visible = self.visible(now)
        if not visible:
            return []
        received: list[tuple[Message, int]] = []
        for message in self._random.sample(visible, self._random.randint(1, min(len(visible), 10))):
            message.receives += 1
            received.append((message, message.receives))
            if self._random.random() >= repeated:
                message.visible_at = now + VISIBILITY_SECONDS * 1000
        return received

    def delete(self, received: Sequence[tuple[Message, int]]) -> None:
        """An old receipt deletes a message that was received again, or does not: SQS promises neither."""
        for message, receipt in received:
            current = message.receives == receipt or self._random.random() < 0.5
            if current and message in self.messages:
                self.messages.remove(message)


class LeasesClient:
    """The two DynamoDB calls of a lease, with conditions and updates as it writes them."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def batch_get_item(self, **call: Any) -> dict[str, Any]:
        ((name, request),) = call["RequestItems"].items()
        slots = [key["slot"]["S"] for key in request["Keys"]]
        return {
            "Responses": {name: [dict(self.items[slot]) for slot in slots if slot in self.items]},
            "UnprocessedKeys": {},
        }

    def update_item(self, **call: Any) -> None:
        slot, names = call["Key"]["slot"]["S"], call["ExpressionAttributeNames"]
        values = call["ExpressionAttributeValues"]
        item = self.items.get(slot, {})
        if not eval(_condition(call["ConditionExpression"]), {"item": item, "values": values}):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        assigned, _, removed = call["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
        assignments = dict(assignment.split(" = ") for assignment in assigned.split(", "))
        item = call["Key"] | item | {names[name]: values[value] for name, value in assignments.items()}
        for name in filter(None, removed.split(", ")):
            item.pop(name, None)
        self.items[slot] = item


@lru_cache
def _condition(expression: str) -> CodeType:
    """A condition expression as Python: equality, absence, AND, OR and brackets."""
    python = re.sub(r"attribute_not_exists\((\w+)\)", r"('\1' not in item)", expression)
    python = re.sub(r"(?<!:)\b(\w+) = (:\w+)", r"(item.get('\1') == values['\2'])", python)
    return compile(python.replace(" AND ", " and ").replace(" OR ", " or "), expression, "eval")
