"""What a run's writes and deliveries amount to. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.deliveries import POLL, Delivery, Expectation
from bench.writer import Write

Number = TypeVar("Number", int, float)

HOPS: dict[str, tuple[str, str]] = {
    "write_to_applied": ("written", "applied"),
    "forward": ("written", "sns"),
    "sns": ("sns", "sqs_sent"),
    "write_to_queue": ("written", "sqs_sent"),
    "sqs": ("sqs_sent", "sqs_received"),
    "apply": ("sqs_received", "applied"),
}
"""Each hop and the clocks at its two ends. `write_to_queue` is `forward` + `sns`, for a coarse SNS clock."""
COARSE_AFTER = 10
"""So many whole seconds in a row are no chance: a clock in milliseconds does that once in 10³⁰ runs."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Milliseconds. Percentiles are exact, by nearest rank: the least value that p % do not exceed."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery and the write that it tells of."""

    write: Write
    delivery: Delivery

    @property
    def expectation(self) -> Expectation:
        """What it fulfils."""
        return Expectation(
            self.write.id, self.write.version or 0, self.delivery.task, self.delivery.forwarder
        )

    @property
    def total(self) -> int:
        """Milliseconds from the write until it was applied."""
        return self.delivery.applied_at - self.write.written_at

    def took(self, hop: str) -> int | None:
        """Milliseconds; negative where the two ends' clocks disagree, None where there is no clock."""
        # A REMOVE carries the previous write's clock, so every write is timed by the writer's own log.
        clocks = {
            "written": self.write.written_at,
            "sns": self.delivery.sns_at,
            "sqs_sent": self.delivery.sqs_sent_at,
            "sqs_received": self.delivery.sqs_first_received_at,
            "applied": self.delivery.applied_at,
        }
        start, end = (clocks[clock] for clock in HOPS[hop])
        return None if start is None or end is None else end - start


@dataclass(frozen=True, slots=True)
class Loss:
    """An acknowledged write that did not reach a task by a forwarder."""

    write: Write
    task: str
    forwarder: str


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One variant's row: counts of deliveries, and what each hop took by the first copy of each."""

    expected: int
    delivered: int
    lost: list[Loss]
    duplicates: int
    out_of_order: int
    ms: dict[str, Distribution]
    negative: dict[str, int]
    arrivals: list[Arrival]

    def by_write(self, hop: str) -> list[list[int]]:
        """What the hop took at each task, of each write in the order of their numbers."""
        values: defaultdict[int, list[int]] = defaultdict(list)
        for arrival in self.arrivals if self.ms[hop].count else ():
            if (took := arrival.took(hop)) is not None:
                values[arrival.write.number].append(took)
        return [values[number] for number in sorted(values)]


def percentile(ordered: Sequence[Number], p: float) -> Number:
    """The nearest-rank percentile of values in ascending order, 0 < p ≤ 100."""
    return ordered[math.ceil(len(ordered) * p / 100) - 1]


def distribution(values: Iterable[float]) -> Distribution:
    """Its count, mean, percentiles and maximum."""
    ordered = sorted(values)
    if not ordered:
        return Distribution(0)
    p50, p90, p99 = (percentile(ordered, p) for p in (50, 90, 99))
    return Distribution(len(ordered), round(sum(ordered) / len(ordered), 2), p50, p90, p99, ordered[-1])


def acknowledged(writes: Iterable[Write]) -> list[Write]:
    """The writes that did not fail."""
    return [write for write in writes if write.version is not None]


def expectations(writes: Iterable[Write], tasks: Iterable[str], variants: Iterable[str]) -> set[Expectation]:
    """What a run without loss delivers."""
    return {
        Expectation(write.id, write.version, task, variant)
        for write in writes
        if write.version is not None
        for task in tasks
        for variant in variants
    }


def join(writes: Iterable[Write], deliveries: Iterable[Delivery]) -> list[Arrival]:
    """Deliveries of these writes, as they were applied in time.

    A message tells of the write with its id and version. A poll sees the newest state alone: it tells of all
    writes to the item that it has not told of, up to that version; or up to the last delete made by then.
    """
    made: defaultdict[str, list[Write]] = defaultdict(list)
    for write in acknowledged(writes):
        made[write.id].append(write)
    told: defaultdict[tuple[str, str], int] = defaultdict(int)
    arrivals: list[Arrival] = []
    for delivery in sorted(deliveries, key=lambda delivery: delivery.applied_at):
        since, until = delivery.version - 1, delivery.version
        if delivery.forwarder == POLL:
            since = told[delivery.task, delivery.id]
            if delivery.change == "delete":
                deletes = [write for write in made[delivery.id] if write.kind == "delete"]
                versions = [
                    write.version or 0 for write in deletes if write.written_at <= delivery.applied_at
                ]
                until = max([until, *versions])
            told[delivery.task, delivery.id] = max(since, until)
        told_of = (write for write in made[delivery.id] if since < (write.version or 0) <= until)
        arrivals += [Arrival(write, delivery) for write in told_of]
    return arrivals


def fulfilled(writes: Iterable[Write], deliveries: Iterable[Delivery]) -> set[Expectation]:
    """What was expected of these writes and has come."""
    return {arrival.expectation for arrival in join(writes, deliveries)}


def coarse_sns_clock(deliveries: Iterable[Delivery]) -> bool:
    """Whether SNS gives whole seconds only: milliseconds computed from its clock would mean nothing."""
    taken = {
        (delivery.id, delivery.version, delivery.forwarder): moment
        for delivery in deliveries
        if (moment := delivery.sns_at) is not None
    }
    return len(taken) >= COARSE_AFTER and all(moment % 1000 == 0 for moment in taken.values())


def measure(
    variant: str,
    writes: Sequence[Write],
    tasks: Sequence[str],
    arrivals: Iterable[Arrival],
    *,
    sns_clock: bool,
) -> VariantResult:
    """A variant's row. Without an SNS clock the hops that begin or end there are empty."""
    own = [a for a in arrivals if a.delivery.forwarder == variant and a.delivery.task in tasks]
    first: dict[tuple[int, str], Arrival] = {}
    for arrival in own:
        first.setdefault((arrival.write.number, arrival.delivery.task), arrival)
    expected = acknowledged(writes)
    lost = [
        Loss(write, task, variant)
        for write in expected
        for task in tasks
        if (write.number, task) not in first
    ]
    took = {
        hop: [took for arrival in first.values() if (took := arrival.took(hop)) is not None]
        if sns_clock or "sns" not in ends
        else []
        for hop, ends in HOPS.items()
    }
    return VariantResult(
        expected=len(expected) * len(tasks),
        delivered=len(first),
        lost=lost,
        duplicates=len(own) - len(first),
        out_of_order=_out_of_order(own),
        ms={hop: distribution(values) for hop, values in took.items()},
        negative=dict(Counter(hop for hop, values in took.items() for value in values if value < 0)),
        arrivals=list(first.values()),
    )


def _out_of_order(arrivals: Iterable[Arrival]) -> int:
    """How many deliveries came after one of a higher version of the same item, at the same task."""
    highest: defaultdict[tuple[str, str], int] = defaultdict(int)
    count = 0
    for delivery in (arrival.delivery for arrival in arrivals):
        place = (delivery.task, delivery.id)
        count += delivery.version < highest[place]
        highest[place] = max(highest[place], delivery.version)
    return count
