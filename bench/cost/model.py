"""What a stack uses in a month, line by line. Pure.

Changes and watermarks are taken as evenly spaced. What no document states is a constant here, with where it
comes from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from bench.configuration import Configuration
from bench.cost.prices import Price, Prices

HOURS = 730
"""In a month."""
SECONDS = HOURS * 3600
KB, GB = 1024, 1_000_000_000
WATERMARKS, WATERMARK_BYTES = 16, 100
"""The system's own items in the table."""
SPREAD = 0.2
"""Tasks spread their watermarks over this share of the period."""
RENEWALS = 3
"""Of a lease, in its length."""

# What a request may carry: https://aws.amazon.com/sqs/pricing/ (SNS, Pipes and events are counted alike).
CHUNK = 64 * KB
# A mapping looks at each shard four times a second:
# https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
STREAM_POLL_S = 0.25
LAMBDA_BATCH, PUBLISH_BATCH, RECEIVE_BATCH = 100, 10, 10
# A receive and a delete at 10 to 15 ms each, so what comes meanwhile is received together. An estimate.
RECEIVE_CYCLE_S = 0.03
# The article's mean for its stream Lambda of 128 MB, which publishes once.
PUBLISH_S = 0.038
# How long until the others see a watermark and leave theirs out. An estimate, of the Lambda.
SEEN_AFTER_S = 0.2
# An environment lives for hours, and stays in use. An estimate.
RESTORE_EVERY_S = 2 * 3600
# Lines of the consumer with CloudWatch's 26 bytes each; the tests compare them with what it prints.
DELIVERY_LINE, POLLED_LINE, LAG_LINE = 990, 750, 550
# `platform.start` and `platform.report` of an invocation, as JSON. An estimate.
LAMBDA_LINES = 550
# SNS's envelope with its signature, and the record around its images. An estimate.
ENVELOPE, RECORD = 900, 600
# A snapshot is read from S3 in parts, and written each minute. A choice.
PART_BYTES, SNAPSHOT_EVERY_S = 8_000_000, 60
# Three and, to queues, one more; in two zones: components/network.py.
ENDPOINTS, QUEUE_ENDPOINTS = 3 * 2, 1 * 2
VCPU, MEMORY_GB = 0.25, 0.5
# On one full core (docs/polling.md); a task has a quarter.
SCAN_S_PER_ITEM = 7e-6
POLL_S, POLL_SCANS = 1.0, 5
# By forwarder: the five times of a delivery, and how late its watermarks are. The fleet's: whether it polls,
# and by the reaper how many tasks there are, how many at the digest, how many unready.
TIMES, LAGS, FALLBACK, CENSUS = 5, 1, 1, 3
# Each minute, of 256 MB (components/reaper.py); how long it takes is an estimate, as is what a lease holds.
REAPER_S, REAPER_GB, REAPER_EVERY_S, LEASE_BYTES = 0.3, 0.25, 60, 600
# Of a queue that a function reads: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
MAPPING_POLLS, MAPPING_POLL_S = 5, 20
# Slots apart: of a forwarder, how it fails and how slow a change is; a bus's rule and its dead letters; the
# redriver's four, the reaper's five. A fleet that polls has one: how slow a change is.
ALARMS_OF_FORWARDER, ALARMS_OF_BUS, ALARMS_OF_FLEET, ALARMS_OF_POLLS = 2, 2, 9, 1

Entry = Literal["table", "appsync"]


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked of a stack: changes a second, and a table of equal items."""

    changes: float
    items: int
    item_bytes: int
    entry: Entry = "table"


ARTICLE = Demand(changes=0.2, items=100, item_bytes=300)
"""The article's rate, 720 changes an hour, on a small table."""


@dataclass(frozen=True, kw_only=True)
class Levers:
    """What would carry the design further; the program has none of them.

    Args:
        pack: the forwarder puts what it took of the stream together, and a topic gets, in one message.
        shards: into how many parts the keys are divided, each with its topic, of which a task takes one.
        slots_per_alarm: slots that share a dead-letter queue and its alarm.
        s3: snapshots and rescans are read from S3.
        lines: the share of deliveries that are logged.
    """

    pack: bool = False
    shards: int = 1
    slots_per_alarm: int = 1
    s3: bool = False
    lines: float = 1


NO_LEVERS = Levers()


@dataclass(frozen=True)
class Line:
    """One line of a bill: so many units of what has a price. `part` is what lines are summed by."""

    part: str
    what: str
    count: float
    price: Price

    @property
    def usd(self) -> float:
        """A month."""
        return self.price.of(self.count)


@dataclass(frozen=True)
class Bill:
    """A month of a stack."""

    variants: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def name(self) -> str:
        """Of its variants."""
        return " + ".join(self.variants)

    @property
    def usd(self) -> float:
        """All of it."""
        return sum(line.usd for line in self.lines)

    def parts(self) -> dict[str, float]:
        """USD by part."""
        told: dict[str, float] = {}
        for line in self.lines:
            told[line.part] = told.get(line.part, 0) + line.usd
        return told


def by_part(bills: Sequence[Bill]) -> dict[str, list[float | None]]:
    """USD of each part, bill by bill; None where a bill has none of it."""
    sums = [one.parts() for one in bills]
    return {part: [of.get(part) for of in sums] for part in dict.fromkeys(part for of in sums for part in of)}


def bill(
    of: Configuration,
    demand: Demand,
    prices: Prices,
    levers: Levers = NO_LEVERS,
    *,
    packed: float = 1,
    watched: bool = True,
) -> Bill:
    """A month of a stack; unless `watched`, without watermarks, lags and their alarms: they can be told."""
    month = Month(of, demand, prices, levers, packed, watched)
    return Bill(of.variants, tuple(line for line in month.lines() if line.count))


def units(bytes_: float, unit: int) -> int:
    """How many units of so many bytes are billed."""
    return max(1, ceil(bytes_ / unit))


def batch(rate: float, window_s: float, most: int) -> float:
    """How many are taken together when so many a second come and one looks each `window_s`."""
    return min(most, max(1.0, rate * window_s))


def scan_seconds(items: int, cpu: float = VCPU) -> float:
    """How long a task with a share of a core reads a table."""
    return items * SCAN_S_PER_ITEM / min(1, cpu)


def poll_interval(items: int, cpu: float = VCPU) -> float:
    """Seconds from one poll to the next."""
    return max(POLL_S, POLL_SCANS * scan_seconds(items, cpu))


def scan_units(demand: Demand, *, watermarks: bool) -> int:
    """Request units of a consistent Scan."""
    own = WATERMARKS * WATERMARK_BYTES if watermarks else 0
    return units(demand.items * demand.item_bytes + own, 4 * KB)


@dataclass(frozen=True)
class Month:
    """What is used, from which the lines follow. Rates are a second; `packed`: changes in a message."""

    of: Configuration
    demand: Demand
    prices: Prices
    levers: Levers
    packed: float
    watched: bool

    @property
    def tasks(self) -> int:
        """That always run."""
        return self.of.tasks_min

    @property
    def rounds(self) -> float:
        """Watermarks: the first of all tasks whose turn comes writes."""
        if not (self.of.forwarders and self.watched):
            return 0
        return 1 / (self.of.watermark_seconds * (1 + SPREAD / (self.tasks + 1)))

    @property
    def tries(self) -> float:
        """Writes of watermarks, with those that lose their condition."""
        others = (self.tasks - 1) * min(1, SEEN_AFTER_S / (SPREAD * self.of.watermark_seconds))
        return self.rounds * (1 + others)

    @property
    def records(self) -> float:
        """What the stream carries."""
        return self.demand.changes + self.rounds

    @property
    def messages(self) -> float:
        """What a forwarder publishes."""
        return self.records / self.packed

    @property
    def copies(self) -> float:
        """Messages that each task's queue takes."""
        return self.messages * len(self.of.forwarders) / self.levers.shards

    @property
    def message_bytes(self) -> float:
        """Of a message as a queue holds it, each change with both images."""
        return ENVELOPE + self.packed * (RECORD + 2 * self.demand.item_bytes)

    @property
    def empty_polls(self) -> float:
        """Of each task: long polls that end without a message."""
        wait = max(self.of.long_poll_seconds, RECEIVE_CYCLE_S)
        come = max(self.demand.changes, self.rounds) / self.packed / self.levers.shards
        gap = 1 / come if come else float("inf")
        return 1 / wait if gap == float("inf") else gap // wait / gap

    def lines(self) -> Iterator[Line]:
        """All that is used, of some things nothing."""
        p, tasks = self.prices, self.tasks
        yield self._line("tasks", "Fargate CPU", tasks * VCPU * HOURS, p.cpu)
        yield self._line("tasks", "Fargate memory", tasks * MEMORY_GB * HOURS, p.memory)
        yield from self._network()
        yield from self._writes()
        yield from self._reads()
        for forwarder in self.of.forwarders:
            yield from self._forwarder(forwarder)
        if self.of.forwarders:
            yield from self._queues()
            yield from self._guards()
        yield self._monthly("leases", "renewals of leases", tasks * RENEWALS / self.of.lease_seconds, p.write)
        yield from self._watching()

    def _line(self, part: str, what: str, count: float, price: Price) -> Line:
        return Line(part, what, count, price)

    def _monthly(self, part: str, what: str, a_second: float, price: Price) -> Line:
        return Line(part, what, a_second * SECONDS, price)

    def _writes(self) -> Iterator[Line]:
        demand, p = self.demand, self.prices
        if demand.entry == "appsync":
            yield self._monthly("table", "mutations by AppSync", demand.changes, p.appsync)
            if self.of.write_api == "function":
                yield self._monthly("table", "their function: invocations", demand.changes, p.lambda_request)
                seconds = demand.changes * PUBLISH_S * 128 / 1024
                yield self._monthly("table", "their function: time", seconds, p.lambda_time)
        yield self._monthly("table", "writes", demand.changes * units(demand.item_bytes, KB), p.write)
        yield self._monthly("table", "watermarks written, lost ones too", self.tries, p.write)
        stored = demand.items * (demand.item_bytes + 100) / GB
        yield self._line("table", "storage", stored, p.storage)
        yield self._line("table", "backup", stored, p.recovery)

    def _forwarder(self, name: str) -> Iterator[Line]:
        p, of, part = self.prices, self.of, "forwarding"
        taken = batch(self.records, STREAM_POLL_S, LAMBDA_BATCH if name == "lambda" else PUBLISH_BATCH)
        # A bus takes events singly, and packing leaves one message to a batch and topic.
        singly = name == "bus" or self.levers.pack
        together = 1 if singly else batch(self.messages / self.levers.shards, STREAM_POLL_S, PUBLISH_BATCH)
        size = self.message_bytes
        publishes = self.messages / together * units(together * size, CHUNK)
        if name == "lambda":
            calls = self.records / taken
            gb = of.lambda_memory / 1024
            seconds = PUBLISH_S * self.messages / together
            yield self._monthly(part, "lambda: invocations", calls, p.lambda_request)
            yield self._monthly(part, "lambda: time", seconds * gb, p.lambda_time)
            if of.snap_start:
                yield self._monthly(part, "lambda: the version's snapshot", gb, p.snapshot_cache)
                yield self._monthly(part, "lambda: restores", gb / RESTORE_EVERY_S, p.snapshot_restore)
            yield self._monthly("logs", "lambda: invocations' lines", calls * LAMBDA_LINES / GB, p.logs)
        else:
            requests = self.records / taken * units(taken * size / self.packed, CHUNK)
            yield self._monthly(part, f"{name}: requests", requests, p.pipe)
        if name == "bus":
            yield self._monthly(part, "bus: events", self.records * units(size, CHUNK), p.event)
        yield self._monthly(part, f"{name}: publishes", publishes, p.publish)

    def _queues(self) -> Iterator[Line]:
        together = batch(self.copies, RECEIVE_CYCLE_S, RECEIVE_BATCH)
        received = self.copies / together * units(together * self.message_bytes, CHUNK)
        for what, a_second in (
            ("receives", received),
            ("deletes", self.copies / together),
            ("long polls that end empty", self.empty_polls),
        ):
            yield self._monthly("queues", what, self.tasks * a_second, self.prices.queue)

    def _guards(self) -> Iterator[Line]:
        """The redriver's and the reaper's looks, which find nothing."""
        p, part, slots = self.prices, "guards", self.of.slots
        looks = 1 / REAPER_EVERY_S
        queues = ceil(slots / self.levers.slots_per_alarm)
        yield self._monthly(part, "redriver: empty polls", MAPPING_POLLS / MAPPING_POLL_S, p.queue)
        yield self._monthly(part, "reaper: invocations", looks, p.lambda_request)
        yield self._monthly(part, "reaper: time", looks * REAPER_S * REAPER_GB, p.lambda_time)
        yield self._monthly(part, "reaper: queues' depths", looks * queues, p.queue)
        yield self._monthly(part, "reaper: leases", looks * units(slots * LEASE_BYTES, 4 * KB), p.read)

    def _reads(self) -> Iterator[Line]:
        p, pushed = self.prices, bool(self.of.forwarders)
        size = scan_units(self.demand, watermarks=pushed)
        every = self.of.rescan_seconds if pushed else poll_interval(self.demand.items)
        if self.levers.s3:
            parts = units(self.demand.items * self.demand.item_bytes, PART_BYTES)
            yield self._monthly("reading", "rescans' parts", self.tasks * parts / every, p.get)
            yield self._monthly("reading", "the snapshots' parts", parts / SNAPSHOT_EVERY_S, p.put)
            yield self._monthly("reading", "the snapshots' scans", size / SNAPSHOT_EVERY_S, p.read)
            return
        size = ceil(size / self.levers.shards)
        yield self._monthly("reading", "rescans" if pushed else "polls", self.tasks * size / every, p.read)

    def _watching(self) -> Iterator[Line]:
        p, of, changes = self.prices, self.of, self.demand.changes
        forwarders = len(of.forwarders)
        alarms = ALARMS_OF_POLLS
        if forwarders:
            alarms = (
                ceil(of.slots / self.levers.slots_per_alarm)
                + ALARMS_OF_FORWARDER * forwarders
                + ALARMS_OF_FLEET
            )
            # How late each forwarder is, and repairs.
            alarms += ALARMS_OF_BUS * of.forwarders.count("bus") + self.watched * (forwarders + 1)
        yield self._line("alarms", "alarms", alarms, p.alarm)
        yield self._line("alarms", "the alarm topic's key", 1, p.key)
        # A metric is billed while something emits it: repairs are not expected.
        times = TIMES * forwarders or 1
        metrics = times if changes else 0
        if forwarders:
            metrics += CENSUS + self.watched * (LAGS * forwarders + FALLBACK)
        yield self._line("metrics", "custom metrics", metrics, p.metric)
        yield self._line("metrics", "the dashboard", 1, p.dashboard)
        for what, a_second in self._log_bytes():
            yield self._monthly("logs", what, a_second / GB, p.logs)

    def _log_bytes(self) -> Iterator[tuple[str, float]]:
        """Of the tasks, a second."""
        forwarders, changes = len(self.of.forwarders), self.demand.changes
        told = (
            (forwarders * DELIVERY_LINE if forwarders else POLLED_LINE)
            * self.levers.lines
            / self.levers.shards
        )
        yield "deliveries' lines", self.tasks * changes * told
        if self.watched:
            yield "lags' lines", self.tasks * RENEWALS / self.of.lease_seconds * forwarders * LAG_LINE

    def _network(self) -> Iterator[Line]:
        p, network = self.prices, self.of.network
        # DynamoDB and the image's layers go by gateway endpoints, which are free.
        carried = (
            self.tasks * self.copies * self.message_bytes + sum(of for _, of in self._log_bytes())
        ) / GB
        if network == "endpoints":
            endpoints = ENDPOINTS + QUEUE_ENDPOINTS * bool(self.of.forwarders)
            yield self._line("network", "interface endpoints", endpoints * HOURS, p.endpoint)
            yield self._monthly("network", "data through them", carried, p.endpoint_data)
        elif network == "nat":
            yield self._line("network", "NAT gateway", HOURS, p.gateway)
            yield self._line("network", "its public address", HOURS, p.address)
            yield self._monthly("network", "data through it", carried, p.gateway_data)
