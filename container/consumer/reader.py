"""The reader: consistent Scans of the whole table, while the inbox goes on applying changes.

The first is the snapshot. Later, a rescan now and then repairs what no message told, and while push is late
the table is polled.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Literal, cast

from consumer.clock import now_ms, steady
from consumer.deliveries import event_line, polled_line, repair_line, write
from consumer.failures import CALL_ERRORS, Failures
from consumer.message import Change
from consumer.repairs import Repairs
from consumer.replica import Replica, Scan
from consumer.settings import Settings
from consumer.watermark import Watermark

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from consumer.traces import Traces

Mode = Literal["push", "poll"]
Purpose = Literal["snapshot", "poll", "rescan"]
Step = Literal["wait", "fall back", "poll", "return", "rescan"]

# Reading a page costs more than waiting for it.
MOST_SEGMENTS = 2
# A page holds at most 1 MB: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
SEGMENT_BYTES = 1_000_000
TICK_SECONDS = 0.5
POLL_SECONDS = 1.0
# Between two polls, so that a large table is read a fifth of the time at most.
POLL_SCANS = 5
# A fleet that started together should not rescan together.
RESCAN_JITTER = 0.2


def next_step(mode: Mode, *, late: bool, due: bool) -> Step:
    """What to do now that push is `late` or not and the next scan is `due` or not."""
    if mode == "push":
        return "fall back" if late else "rescan" if due else "wait"
    if not late:
        return "return"
    return "poll" if due else "wait"


def segments(size: int) -> int:
    """Into how many parts to divide the scan of a table of so many bytes; a small one costs less in one."""
    return min(MOST_SEGMENTS, 1 + size // SEGMENT_BYTES)


class Reader:
    """The scans of one tenure; the first is `scan`, begun already.

    `complete` once every page of it is in the replica; `changed` is called then, and at each change of mode.
    Items without a version are left out, and the system's own.
    """

    def __init__(
        self,
        settings: Settings,
        who: Mapping[str, str],
        scan: Scan,
        *,
        replica: Replica,
        dynamodb: "DynamoDBClient",
        watermark: Watermark,
        repairs: Repairs,
        changed: Callable[[], None],
        traces: "Traces | None" = None,
    ) -> None:
        self.complete = False
        self.mode: Mode = "push" if settings.forwarders else "poll"
        self.fallbacks = self.polled = 0
        self.failures = Failures("cannot-read")
        self.active_at = self._due = steady()
        self._settings = settings
        self._who = who
        self._scan = scan
        self._purpose: Purpose = "snapshot"
        self._replica = replica
        self._dynamodb = dynamodb
        self._watermark = watermark
        self._repairs = repairs
        self._changed = changed
        self._traces = traces
        self._segments = MOST_SEGMENTS
        self._closed = Event()

    def run(self) -> None:
        """Read the snapshot, then rescan or poll, until `close`."""
        self._read()
        if self._closed.is_set():
            return
        self.complete = True
        self._changed()
        while not self._closed.wait(min(TICK_SECONDS, max(0, self._due - steady()))):
            self.active_at = steady()
            step = next_step(self.mode, late=self._watermark.is_late(now_ms()), due=steady() >= self._due)
            if step == "fall back":
                self.fallbacks += 1
                self._switch("poll")
            elif step != "wait":
                self._rescan(step)
            if self.mode == "push":
                with self._replica.lock:
                    lost = self._repairs.settle()
                write(repair_line(self._who, *of) for of in lost)

    def close(self) -> None:
        """Give up what is not complete; no scan is begun from now on."""
        with self._replica.lock:
            self._closed.set()

    def _rescan(self, step: Step) -> None:
        self._purpose = "rescan" if step == "rescan" else "poll"
        with self._replica.lock:
            if self._closed.is_set():
                return  # the next tenure's snapshot may have begun, and this would end it
            self._scan = self._replica.begin_scan()
        self._read()
        if step == "return" and not self._closed.is_set():
            self._switch("push")

    def _switch(self, mode: Mode) -> None:
        with self._replica.lock:
            self._repairs.forget()
        self.mode = mode
        self._due = steady() if mode == "poll" else self._rescan_due()
        write([event_line("push is back" if mode == "push" else "push is late", **self._who)])
        self._changed()

    def _rescan_due(self) -> float:
        return steady() + self._settings.rescan_seconds * random.uniform(1 - RESCAN_JITTER, 1 + RESCAN_JITTER)

    def _read(self) -> None:
        """Scan to the end, in segments side by side, unless `close` comes first."""
        began = steady()
        ended: list[tuple[int, int, float]] = []
        count = self._segments
        threads = [
            Thread(target=self._read_segment, args=(number, count, ended), daemon=True)
            for number in range(1, count)
        ]
        for thread in threads:
            thread.start()
        self._read_segment(0, count, ended)
        for thread in threads:
            thread.join()
        if self._closed.is_set():
            return
        if len(ended) < count:
            raise RuntimeError(f"{count - len(ended)} of {count} segments of the table were not read")
        self._take(lambda: self._replica.end_scan(self._scan, now_ms()))
        sizes, unversioned, lost = zip(*ended, strict=True)
        seconds = steady() - began
        self._segments = segments(sum(sizes))
        # How long failed tries took, boto3's too, is no measure of the table: the next poll would wait for
        # five times that.
        between = max(POLL_SECONDS, POLL_SCANS * (seconds - max(lost)))
        self._due = began + between if self.mode == "poll" else self._rescan_due()
        # Where nothing but polls happens, a line each second would tell nothing.
        if self._settings.forwarders or self._purpose != "poll":
            told = {
                "items": len(self._replica),
                "unversioned": sum(unversioned),
                "seconds": round(seconds, 3),
            }
            write([event_line(f"{self._purpose} complete", **self._who, **told)])

    def _read_segment(self, number: int, count: int, ended: list[tuple[int, int, float]]) -> None:
        size, unversioned, lost = 0, 0, 0.0
        for changes, lost_here in self._pages(number, count):
            lost += lost_here
            known = [change for change in changes if change]
            self._take(lambda known=known: self._replica.page(self._scan, known))
            size += sum(len(change.item or "") for change in known)
            unversioned += len(changes) - len(known)
        ended.append((size, unversioned, lost))

    def _take(self, find: Callable[[], list[Change]]) -> None:
        """Take in what a page, or the scan's end, says, and account for what was news."""
        received_at = now_ms()
        with self._replica.lock:
            news = find()
            if self._purpose == "rescan":
                self._repairs.suspect(news)
        if self._purpose == "poll" and news:
            applied_at = now_ms()
            self.polled += len(news)
            write(polled_line(self._who, change, received_at, applied_at) for change in news)
            if self._traces:
                for change in news:
                    self._traces.polled(self._who["slot"], change, applied_at)

    def _pages(self, segment: int, count: int) -> Iterator[tuple[list[Change | None], float]]:
        """A segment's pages, None for an item without a version; a page that fails is tried again.

        With each page the seconds that failed tries took, or a try that boto3 repeated.
        """
        start: dict[str, Any] = {}
        lost = 0.0
        while not self._closed.is_set():
            tried_at = self.active_at = steady()
            try:
                page = self._dynamodb.scan(
                    TableName=self._settings.table,
                    ConsistentRead=True,
                    Segment=segment,
                    TotalSegments=count,
                    **start,
                )
            except CALL_ERRORS as error:
                write([event_line("page not read", **self._who, reason=str(error))])
                self._closed.wait(self.failures.add(error))
                lost += steady() - tried_at
                continue
            self.failures.clear()
            if page["ResponseMetadata"]["RetryAttempts"]:
                lost += steady() - tried_at
            start = {"ExclusiveStartKey": page.get("LastEvaluatedKey")}
            yield cast("list[Change | None]", page["Items"]), lost  # by `give_changes`
            lost = 0.0
            if start["ExclusiveStartKey"] is None:
                return
