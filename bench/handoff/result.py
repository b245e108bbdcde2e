"""From what was observed to a result, and the files that it is kept in."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench.bootstrap import Interval, intervals
from bench.burst import kept_up
from bench.environment import caveat
from bench.handoff.functions import Order
from bench.handoff.lines import Line, Received, Sent
from bench.result import folder_of
from bench.statistics import Distribution, distribution

Phase = Literal["warm-up", "measured", "provoked"]
State = Literal["first", "cold", "warm"]


@dataclass(frozen=True, slots=True)
class Handoff:
    """A message, from the order to what both functions told of it."""

    phase: Phase
    order: Order
    sent: Sent | None
    received: Received | None  # the first time
    copies: int  # how often B received it

    @property
    def lost(self) -> bool:
        """A said that it handed it over, and B did not get it."""
        return self.order.error is None and self.received is None

    @property
    def delivery(self) -> float | None:
        """Milliseconds from A's clock before the operation to B's when it came; negative if they disagree."""
        if self.sent is None or self.received is None:
            return None
        return round(self.received.received_at - self.sent.sent_at, 3)

    @property
    def state(self) -> State | None:
        """Whether A opened a connection for it, or else B began with it; None if a line is missing."""
        if self.sent is None or self.received is None:
            return None
        return "first" if self.sent.cold else "cold" if self.received.cold else "warm"


@dataclass(frozen=True)
class Row:
    """Some messages of one way: counts of them all, durations in milliseconds of those of one state.

    `intervals` are of each duration's mean, p50 and p99, milliseconds.
    """

    expected: int
    delivered: int
    lost: int
    duplicates: int
    states: dict[State, int]
    operation: Distribution
    delivery: Distribution
    negative: int
    intervals: dict[str, dict[str, Interval]]


Cell = tuple[str, int, int]
"""A way, a size in bytes, B's work in milliseconds."""


@dataclass(frozen=True)
class Observation:
    """What was seen of a run."""

    environment: dict[str, Any]
    preset: str
    ways: Sequence[str]
    interval_s: float
    orders: dict[Phase, list[Order]]
    lines: Sequence[Line]
    note: str = ""


@dataclass(frozen=True)
class Result:
    """What it amounts to: all that the reports draw on."""

    observation: Observation
    handoffs: list[Handoff]
    warm: dict[Cell, Row]
    cold: dict[str, Row]
    lateness: Distribution
    notes: list[str]

    @property
    def failed(self) -> list[Handoff]:
        """The messages that A did not hand over."""
        return [each for each in self.handoffs if each.order.error is not None]

    @property
    def lost(self) -> list[Handoff]:
        """The messages that it did, and that never came, in any phase."""
        return [each for each in self.handoffs if each.lost]

    @property
    def measured(self) -> list[Handoff]:
        """The messages on the schedule."""
        return [each for each in self.handoffs if each.phase == "measured"]

    @property
    def passed(self) -> bool:
        """Enough was handed over, and nothing was lost."""
        given = sum(each.order.error is None for each in self.measured)
        return given > 0 and kept_up(given, len(self.measured)) and not self.lost

    @property
    def caveat(self) -> str:
        """What to say beside every latency; empty on AWS."""
        return caveat(self.observation.environment)

    def summary(self) -> dict[str, Any]:
        """`summary.json`."""
        return {
            "environment": self.observation.environment,
            "preset": self.observation.preset,
            "ways": list(self.observation.ways),
            "interval_s": self.observation.interval_s,
            "messages": len(self.measured),
            "lateness_ms": asdict(self.lateness),
            "warm_up": _counts(each for each in self.handoffs if each.phase == "warm-up"),
            "warm": [
                {"way": way, "size": size, "work_ms": work_ms, **asdict(row)}
                for (way, size, work_ms), row in self.warm.items()
            ],
            "cold": [{"way": way, **asdict(row)} for way, row in self.cold.items()],
            "failed": [{"id": each.order.message.id, "error": each.order.error} for each in self.failed],
            "lost": [asdict(each.order.message) for each in self.lost],
            "notes": self.notes,
        }


def conclude(observed: Observation) -> Result:
    """Join by message id, count, measure."""
    handoffs = join(observed.orders, observed.lines)
    measured = [each for each in handoffs if each.phase == "measured"]
    cells = _grouped(measured, lambda each: (each.message.way, each.message.size, each.message.work_ms))
    provoked = _grouped(
        (each for each in handoffs if each.phase == "provoked"), lambda each: each.message.way
    )
    return Result(
        observation=observed,
        handoffs=handoffs,
        warm={cell: measure(cells[cell], "warm") for cell in _in_order(cells, observed.ways)},
        cold={way: measure(provoked[way], "cold") for way in observed.ways if way in provoked},
        lateness=distribution(each.order.ordered_at - each.order.scheduled_at for each in measured),
        notes=list(_notes(observed, handoffs)),
    )


def join(orders: dict[Phase, list[Order]], lines: Iterable[Line]) -> list[Handoff]:
    """The orders with what was logged of their messages."""
    sent: dict[str, Sent] = {}
    received: defaultdict[str, list[Received]] = defaultdict(list)
    for line in lines:
        if isinstance(line, Sent):
            sent[line.id] = line
        else:
            received[line.id].append(line)
    return [
        Handoff(
            phase,
            order,
            sent.get(order.message.id),
            min(received[order.message.id], key=lambda line: line.received_at, default=None),
            len(received[order.message.id]),
        )
        for phase, ordered in orders.items()
        for order in ordered
    ]


def measure(handoffs: Sequence[Handoff], state: State) -> Row:
    """Count them all, and measure those of one state."""
    timed = [each for each in handoffs if each.state == state]
    operations = [each.sent.operation for each in timed if each.sent is not None]
    deliveries = [each.delivery for each in timed if each.delivery is not None]
    drawn = {"operation": operations, "delivery": deliveries}
    return Row(
        **_counts(handoffs),
        states=dict(Counter(each.state for each in handoffs if each.state is not None)),
        operation=distribution(operations),
        delivery=distribution(deliveries),
        negative=sum(each < 0 for each in deliveries),
        intervals={name: intervals([[one] for one in values]) for name, values in drawn.items()},
    )


def _counts(handoffs: Iterable[Handoff]) -> dict[str, int]:
    given = [each for each in handoffs if each.order.error is None]
    return {
        "expected": len(given),
        "delivered": sum(not each.lost for each in given),
        "lost": sum(each.lost for each in given),
        "duplicates": sum(max(0, each.copies - 1) for each in given),
    }


def _grouped(handoffs: Iterable[Handoff], key: Callable[[Order], Any]) -> dict[Any, list[Handoff]]:
    groups: defaultdict[Any, list[Handoff]] = defaultdict(list)
    for each in handoffs:
        groups[key(each.order)].append(each)
    return dict(groups)


def _in_order(cells: Iterable[Cell], ways: Sequence[str]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell[2], cell[1], ways.index(cell[0])))


def _notes(observed: Observation, handoffs: Sequence[Handoff]) -> Iterator[str]:
    if observed.note:
        yield observed.note
    yield f"A's clock against B's: {observed.environment['clock_error']}."
    if negative := sum(each.delivery is not None and each.delivery < 0 for each in handoffs):
        yield f"{negative} messages came before they were sent, by those clocks: counted as they are."
    if "fan-out" not in observed.ways and observed.preset == "full":
        yield "Kinesis with enhanced fan-out is not in this stack: set statecast:fanOut, on AWS."
    if untold := sum(each.received is not None and each.sent is None for each in handoffs):
        yield f"Of {untold} messages that came A's line is missing: they are delivered, and not timed."


_HEAD = (
    *("phase", "number", "id", "way", "size", "workMs", "scheduledAt", "orderedAt", "error", "state"),
    *("senderCold", "sentAt", "operation", "receiverCold", "receivedAt", "handledAt", "delivery", "copies"),
    *("parent", "traceparent"),
)


def save(result: Result, page: Callable[[Result], str], results: Path) -> Path:
    """Write `summary.json` and `handoffs.csv`, point `latest` at them, and add the page, which may fail."""
    with folder_of(result.observation.environment["started"], results) as folder:
        (folder / "summary.json").write_text(json.dumps(result.summary(), indent=2) + "\n")
        with (folder / "handoffs.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(_HEAD)
            rows.writerows(map(_cells, result.handoffs))
    (folder / "report.html").write_text(page(result))
    return folder


def _cells(of: Handoff) -> tuple[object, ...]:
    message, sent, received = of.order.message, of.sent, of.received
    return (
        *(of.phase, message.number, message.id, message.way, message.size, message.work_ms),
        *(of.order.scheduled_at, of.order.ordered_at, of.order.error, of.state),
        *((sent.cold, sent.sent_at, sent.operation) if sent else (None,) * 3),
        *((received.cold, received.received_at, received.handled_at) if received else (None,) * 3),
        *(of.delivery, of.copies),
        *((sent.parent, sent.traceparent) if sent else (None,) * 2),
    )
