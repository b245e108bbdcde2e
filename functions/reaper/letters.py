"""What dead letters and leases say, as texts that name changes (docs/message.md)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from boto3.dynamodb.types import TypeDeserializer
from decision import Lease, Letter

# A task's lease tells of no more messages whose latest receive was refused (the consumer's REFUSALS_SHOWN).
REFUSALS_TOLD = 50

Item = Mapping[str, Any]

_value = TypeDeserializer().deserialize


def plain(item: Item) -> dict[str, Any]:
    """An item of a table, as Python has it."""
    return {name: _value(value) for name, value in item.items()}


def lease_of(item: Item) -> Lease | None:
    """The lease that an item of the leases table tells; None when the slot is free."""
    if "lease" not in item:
        return None
    refusing = item.get("refusing", ())
    return Lease(
        task=item["task"],
        leased_at=int(item["leasedAt"]),
        expires_at=int(item["expiresAt"]),
        poison=tuple(Letter(_reported(of), int(of["sentAt"])) for of in item.get("poison", ())),
        refusing=frozenset(map(_reported, refusing)),
        full=len(refusing) >= REFUSALS_TOLD,
    )


class Census(NamedTuple):
    """How many tasks hold a slot, and of them: how many tell the digest that most tell, how many are unready.

    Unready is, too, who cannot read the table again.
    """

    tasks: int
    at_digest: int
    unready: int


def census(items: Iterable[Item], now: int) -> Census:
    """Count the tasks by their leases."""
    live = [item for item in items if int(item.get("expiresAt", 0)) > now]
    digests = Counter(item.get("digest") for item in live)
    unready = [item for item in live if not item.get("ready") or item.get("cannotRead")]
    return Census(len(live), max(digests.values(), default=0), len(unready))


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
        if "detail-type" in record:  # a bus hands on EventBridge's whole event
            record = record["detail"]
        change = record["dynamodb"]
        deleted = record["eventName"] == "REMOVE"
        version = int(change["OldImage" if deleted else "NewImage"]["version"]["N"]) + deleted
        return _of_change(change["Keys"]["id"]["S"], version)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        if isinstance(envelope, dict) and isinstance(published := envelope.get("MessageId"), str):
            return _of_message(published)
        return f"a message like {hashlib.sha256(body.encode()).hexdigest()[:16]}"


def _reported(of: Mapping[str, Any]) -> str:
    if of["id"] is not None and of["version"] is not None:
        return _of_change(of["id"], int(of["version"]))
    # SNS gives all copies of one message the same id.
    return of["reason"] if of["published"] is None else _of_message(of["published"])


def _of_change(item_id: str, version: int) -> str:
    return f"{item_id} at version {version}"


def _of_message(published: str) -> str:
    return f"message {published}"
