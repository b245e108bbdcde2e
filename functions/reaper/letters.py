"""What dead letters and leases say, as texts that name changes (docs/message.md)."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from decision import Lease

Item = Mapping[str, Any]

_value = TypeDeserializer().deserialize


def plain(item: Item) -> dict[str, Any]:
    """An item of a table, as Python has it."""
    return {name: _value(value) for name, value in item.items()}


def lease_of(item: Item) -> Lease | None:
    """The lease that an item of the leases table tells; None when the slot is free."""
    if "lease" not in item:
        return None
    return Lease(
        task=item["task"],
        leased_at=int(item["leasedAt"]),
        expires_at=int(item["expiresAt"]),
        poison=frozenset(map(_reported, item.get("poison", ()))),
        refusing=frozenset(map(_reported, item.get("refusing", ()))),
    )


def reports(items: Iterable[Item]) -> dict[str, str]:
    """The changes that leases tell of, by message."""
    return {
        of["message"]: _reported(of)
        for item in items
        for told in ("poison", "refusing")
        for of in item.get(told, ())
    }


def change_in(message: Mapping[str, Any], reported: Mapping[str, str]) -> str:
    """The change that an SQS message is of: as its task reported it, or else as it says itself."""
    if found := reported.get(message["MessageId"]):
        return found
    body = message["Body"]
    envelope: Any = None
    try:
        envelope = json.loads(body)
        record = json.loads(envelope["Message"])
        change = record["dynamodb"]
        deleted = record["eventName"] == "REMOVE"
        version = int(change["OldImage" if deleted else "NewImage"]["version"]["N"]) + deleted
        return _named(change["Keys"]["id"]["S"], version)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        # SNS gives all copies of one message the same id.
        sns = envelope.get("MessageId") if isinstance(envelope, dict) else None
        return f"unreadable message {sns or hashlib.sha256(body.encode()).hexdigest()}"


def _reported(of: Mapping[str, Any]) -> str:
    if of["id"] is None or of["version"] is None:
        return of["reason"]
    return _named(of["id"], int(of["version"]))


def _named(item_id: str, version: int) -> str:
    return f"{item_id} at version {version}"
