"""The lease of a slot: which one to take, until when it holds, and the conditional writes that say so.

A holder asks `held` after each receive and before each delete, since deletes on SQS are not fenced.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from consumer.clock import now_ms, steady
from consumer.failures import lost_condition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
BATCH_GET_KEYS = 100
OWN = "lease = :token"
Told = Mapping[str, Any]


class SlotLease(NamedTuple):
    """A slot as the leases table shows it. No `token`: free. No `freed_at` either: never leased."""

    slot: str
    token: str | None = None
    expires_at: int = 0
    freed_at: int | None = None


def slot_names(count: int) -> list[str]:
    """`00`, `01`, … `99`, `100`, … in the order of the list of queues.

    A name is its slot's whatever their count: tasks from before a change of that lease them, too.
    """
    return [f"{number:02}" for number in range(count)]


def candidates(leases: Iterable[SlotLease], now: int, grace_ms: int) -> list[SlotLease]:
    """The slots to try, best first: never leased, then the longest free, then the longest expired.

    An expired one only `grace_ms` later (long poll + visibility timeout): by then the last receive of its
    former lessee has ended and what that held is visible again. `now` is Unix milliseconds. Equals keep their
    order.
    """

    def rank(lease: SlotLease) -> tuple[int, int]:
        if lease.token is not None:
            return 2, lease.expires_at
        return (0, 0) if lease.freed_at is None else (1, lease.freed_at)

    takeable = (lease for lease in leases if lease.token is None or lease.expires_at + grace_ms <= now)
    return sorted(takeable, key=rank)


def why_none(leases: Sequence[SlotLease], now: int, grace_ms: int) -> str:
    """Why there was no candidate."""
    ends = [lease.expires_at for lease in leases if lease.token is not None]
    expired = [end for end in ends if end <= now]
    reason = f"no free slot: {len(ends) - len(expired)} of {len(leases)} leased"
    if expired:
        wait = max(0, min(expired) + grace_ms - now) / 1000
        reason += f", {len(expired)} expired, the first to be had in {wait:.0f} s"
    return reason


def read_leases(dynamodb: "DynamoDBClient", table: str, slots: Sequence[str]) -> list[SlotLease]:
    """The leases of the slots as they stand; raises what boto3 raises."""
    found = {slot: SlotLease(slot) for slot in slots}
    keys: list[Any] = [{"slot": {"S": slot}} for slot in slots]
    while keys:
        asked: Any = {table: {"Keys": keys[:BATCH_GET_KEYS], "ConsistentRead": True}}
        answer: Any = dynamodb.batch_get_item(RequestItems=asked)
        for item in answer["Responses"].get(table, []):
            slot, token, freed_at = item["slot"]["S"], item.get("lease"), item.get("freedAt")
            found[slot] = SlotLease(
                slot,
                token=token and token["S"],
                expires_at=int(item["expiresAt"]["N"]) if token else 0,
                freed_at=freed_at and int(freed_at["N"]),
            )
        keys = keys[BATCH_GET_KEYS:] + answer["UnprocessedKeys"].get(table, {}).get("Keys", [])
    return list(found.values())


class Lease:
    """The tenure of one slot by one task, for terms of `seconds`. Calls raise what boto3 raises."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        slot: str,
        *,
        seconds: float,
        clock: Callable[[], float] = steady,
    ) -> None:
        self.slot = slot
        self._dynamodb = dynamodb
        self._table = table
        self._seconds = seconds
        self._clock = clock
        self._token = str(uuid4())
        self._deadline = -math.inf

    def held(self) -> bool:
        """Whether the slot's queue may be used."""
        return self._clock() < self._deadline

    def acquire(self, seen: SlotLease, task: str) -> bool:
        """Take the slot if it is still as it was seen."""
        told = {"lease": self._token, "task": task, "leasedAt": now_ms(), "ready": False}
        condition, values = "attribute_not_exists(lease)", {}
        if seen.token is not None:
            condition = "lease = :seen AND expiresAt = :end"
            values = {":seen": seen.token, ":end": seen.expires_at}
        # Or it is ours: boto3 itself repeats a write whose answer was lost.
        self._deadline = self._prolong(told, f"({condition}) OR {OWN}", values, remove="freedAt")
        return self._deadline > -math.inf

    def renew(self, report: Told) -> None:
        """Hold it for another term, and report. Past its deadline, or someone else's, it is lost for good."""
        if self.held():
            deadline = self._prolong(report, OWN, {})
            # One that outlasts the deadline revives nothing: the inbox saw it lost and has ended.
            self._deadline = deadline if self.held() else -math.inf

    def release(self) -> bool:
        """Use it no longer and give it back; False when it was someone else's already."""
        self._deadline = -math.inf
        told = {"freedAt": now_ms(), "ready": False}
        return self._write(told, OWN, {}, remove="lease, expiresAt")

    def _prolong(self, told: Told, condition: str, values: Told, remove: str = "") -> float:
        # Taken before the call: its answer may be late.
        deadline, expires_at = self._clock() + self._seconds, now_ms() + int(self._seconds * 1000)
        written = self._write({**told, "expiresAt": expires_at}, condition, values, remove)
        return deadline if written else -math.inf

    def _write(self, told: Told, condition: str, values: Told, remove: str) -> bool:
        values = {":token": self._token, **values, **{f":{name}": told[name] for name in told}}
        removal = f" REMOVE {remove}" if remove else ""
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"slot": {"S": self.slot}},
                UpdateExpression=f"SET {', '.join(f'#{name} = :{name}' for name in told)}{removal}",
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in told},
                ExpressionAttributeValues={name: _serialized(value) for name, value in values.items()},
            )
        except ClientError as error:
            if lost_condition(error):
                return False
            raise
        return True


_serialized = TypeSerializer().serialize
