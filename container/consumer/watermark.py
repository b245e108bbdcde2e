"""The watermark: items rewritten at a fixed interval, so that late push shows even when nobody else writes.

Any task that sees the newest one grow old writes the next, by a conditional write: one wins, and none leads.
"""

import random
from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING

from consumer.clock import now_ms
from consumer.deliveries import event_line, write
from consumer.digest import SYSTEM_PREFIX
from consumer.failures import CALL_ERRORS, lost_condition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# In turn, so that they come by every shard of the table's stream.
ITEMS = 16
PREFIX = f"{SYSTEM_PREFIX}watermark:"
# Tasks spread their writes over this share of the period: most then find that another was first.
SPREAD = 0.2
# A change is due at every task within it.
DUE_MS = 2_000


def late_after_ms(period_seconds: int) -> int:
    """How old the newest watermark may be: the period, the spread, and what a change may take."""
    return int(period_seconds * 1000 * (1 + SPREAD)) + DUE_MS


def next_write(newest: int, period_ms: int, chance: float) -> int:
    """When the next is to be written if none comes before, Unix milliseconds; `chance` is from 0 to 1."""
    return newest + int(period_ms * (1 + SPREAD * chance))


class Watermark:
    """The watermarks that came by each forwarder through a slot's queue, in one tenure, and their writer.

    `arrived` is called when one has come that was written since this was made: push works.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        forwarders: Sequence[str],
        *,
        period_seconds: int,
        arrived: Callable[[], None],
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._period_ms = period_seconds * 1000
        self._late_ms = late_after_ms(period_seconds)
        self._arrived = arrived
        self._since = self._tried_at = now_ms()
        self._newest = dict.fromkeys(forwarders, 0)
        self._closed = Event()

    def run(self) -> None:
        """Write one at once, then whenever none has come for a period, until `close`."""
        self._write()
        while True:
            last = self._last()
            due = next_write(last, self._period_ms, random.random())
            if self._closed.wait(max(0, due - now_ms()) / 1000):
                return
            if self._last() == last:
                self._write()

    def close(self) -> None:
        """Write no more."""
        self._closed.set()

    def came(self, forwarder: str, written_at: int) -> None:
        """One came through the queue, written at `written_at` (Unix milliseconds)."""
        works = self.works()
        # A writer's clock may be ahead: what has come was written by now.
        self._newest[forwarder] = max(min(written_at, now_ms()), self._newest.get(forwarder, 0))
        if self.works() > works:
            self._arrived()

    def works(self) -> bool:
        """Whether one that was written since the tenure began has come."""
        return self.newest() >= self._since

    def newest(self) -> int:
        """When the newest that came was written, Unix milliseconds; 0 before the first."""
        return max(self._newest.values(), default=0)

    def lag(self, now: int) -> dict[str, int]:
        """By forwarder, the age of the newest in milliseconds; before one has come, that of the tenure."""
        return {name: now - max(at, self._since) for name, at in self._newest.items()}

    def is_late(self, now: int) -> bool:
        """Whether every forwarder is late; without any, always."""
        return all(lag > self._late_ms for lag in self.lag(now).values())

    def _last(self) -> int:
        return max(self.newest(), self._tried_at)

    def _write(self) -> None:
        self._tried_at = now = now_ms()
        number = now // self._period_ms
        # In time and not in rounds, whose numbers are of a period, which a deployment may change. Since: a
        # newcomer's first shows that push works since its scan began.
        before = max(number * self._period_ms, self._since)
        values = {":now": now, ":before": before, ":one": 1}
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"id": {"S": f"{PREFIX}{number % ITEMS}"}},
                UpdateExpression="SET version = if_not_exists(version, :now) + :one, writtenAt = :now",
                ConditionExpression="attribute_not_exists(writtenAt) OR writtenAt < :before",
                ExpressionAttributeValues={name: {"N": str(value)} for name, value in values.items()},
            )
        except CALL_ERRORS as error:
            # Another task was first, most likely; if it failed, others try as well.
            if not lost_condition(error):
                write([event_line("watermark not written", reason=str(error))])
