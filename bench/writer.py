"""Writes on a schedule, whatever the system does (open loop)."""

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from bench.errors import ExperimentError
from bench.workload import Kind, PlannedWrite

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Planned = TypeVar("Planned")
Done = TypeVar("Done")

WRITERS = 8
"""Writes that may be in flight at once: a slow one does not delay the next."""


@dataclass(frozen=True, slots=True)
class Write:
    """A write as it went, clocks in Unix milliseconds. If it failed, it has an error and no version.

    A put's item carries the `traceparent`; a delete has none.
    """

    number: int
    kind: Kind
    id: str
    version: int | None
    error: str | None
    scheduled_at: int
    written_at: int
    acknowledged_at: int
    traceparent: str | None


class Entry(Protocol):
    """Where writes enter the system."""

    def put(self, item_id: str, value: int, written_at: int, traceparent: str) -> int:
        """Merge into an item or make it, and return its version."""
        ...

    def delete(self, item_id: str) -> int:
        """Delete an item and return the delete's version."""
        ...


class TableEntry:
    """Writes straight to the table, by a client that never retries: a write made twice takes two versions."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def put(self, item_id: str, value: int, written_at: int, traceparent: str) -> int:
        """Set `value`, the next version, the writer's clock and the write's trace context."""
        answer = self._dynamodb.update_item(
            TableName=self._table,
            Key={"id": {"S": item_id}},
            UpdateExpression="SET #version = if_not_exists(#version, :now) + :one, "
            "#writtenAt = :now, #traceparent = :traceparent, #value = :value",
            ExpressionAttributeNames={
                f"#{name}": name for name in ("version", "writtenAt", "traceparent", "value")
            },
            ExpressionAttributeValues={
                ":now": {"N": str(written_at)},
                ":one": {"N": "1"},
                ":traceparent": {"S": traceparent},
                ":value": {"N": str(value)},
            },
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["version"]["N"])  # pyright: ignore[reportTypedDictNotRequiredAccess]

    def delete(self, item_id: str) -> int:
        """Delete it: one version above the item's last."""
        answer = self._dynamodb.delete_item(
            TableName=self._table, Key={"id": {"S": item_id}}, ReturnValues="ALL_OLD"
        )
        if "Attributes" not in answer:
            raise ExperimentError(f"there was no item {item_id} to delete")
        return int(answer["Attributes"]["version"]["N"]) + 1  # pyright: ignore[reportTypedDictNotRequiredAccess]


def new_trace() -> str:
    """The W3C trace context of a new trace, sampled: https://www.w3.org/TR/trace-context/."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def now_ms() -> int:
    """The writer's clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def on_schedule(
    plan: Sequence[Planned],
    interval_s: float,
    act: Callable[[Planned, int], Done],
    advance: Callable[[], None],
) -> list[Done]:
    """Begin one of the plan in each `interval_s`, whenever those before it end. In the plan's order.

    Each at a moment of its interval that is drawn, the same in each run: one each half second would meet what
    looks once a second at two moments of its period only, and by where those lie runs would differ.

    `act` is told when it was scheduled, Unix milliseconds, and knows by its own clock when it began.
    """
    first, first_ms, random = time.monotonic(), now_ms(), Random(1)
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="writer") as writers:
        begun: list[Future[Done]] = []
        for place, planned in enumerate(plan):
            after_s = (place + random.random()) * interval_s
            time.sleep(max(0.0, first + after_s - time.monotonic()))
            begun.append(writers.submit(act, planned, first_ms + int(after_s * 1000)))
            begun[-1].add_done_callback(lambda _: advance())
        return [each.result() for each in begun]


def write_on_schedule(
    plan: Sequence[PlannedWrite], interval_s: float, entry: Entry, advance: Callable[[], None]
) -> list[Write]:
    """Make the writes; a late one keeps its scheduled time."""
    return on_schedule(plan, interval_s, lambda planned, at: _write(planned, at, entry), advance)


def _write(planned: PlannedWrite, scheduled: int, entry: Entry) -> Write:
    version, error = None, None
    traceparent = None if planned.kind == "delete" else new_trace()
    started = now_ms()
    try:
        if traceparent is None:
            version = entry.delete(planned.id)
        else:
            version = entry.put(planned.id, planned.number, started, traceparent)
    except (BotoCoreError, ClientError, ExperimentError) as problem:
        error = str(problem)
    clocks = scheduled, started, now_ms()
    return Write(planned.number, planned.kind, planned.id, version, error, *clocks, traceparent)
