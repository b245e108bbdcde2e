"""What the charts draw, from a result. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from bench.published import PUBLISHED
from bench.result import Result
from bench.statistics import Arrival, VariantResult, join, measure
from bench.writer import Write

COLUMNS = 60
"""At most, of a heat map: as many as can be told apart on a telephone."""


@dataclass(frozen=True, slots=True)
class Step:
    """A hop's mean, and where it begins, in milliseconds after the write."""

    name: str
    start: float
    ms: float


@dataclass(frozen=True, slots=True)
class Path:
    """The hops of a mean delivery, one after the other: a variant's, or `published` ones."""

    name: str
    steps: tuple[Step, ...]
    published: bool

    @property
    def total(self) -> float:
        """Milliseconds from the write until it was applied."""
        return sum(step.ms for step in self.steps)


@dataclass(frozen=True, slots=True)
class Moment:
    """A write: when it was due, in seconds after the first measured one, and what its last task took.

    `again`: a task took the message from its queue more than once.
    """

    at_s: float
    ms: int
    again: bool


@dataclass(frozen=True, slots=True)
class Heat:
    """The worst milliseconds by task and time, None where nothing came; `at_s` are the columns' middles.

    `lost` are the columns and rows at which a write is missing.
    """

    tasks: tuple[str, ...]
    at_s: tuple[float, ...]
    worst: tuple[tuple[int | None, ...], ...]
    lost: frozenset[tuple[int, int]]


def paths(result: Result) -> list[Path]:
    """Each variant's, without steps if nothing came by it; then those that were published in parts."""
    ours = [_path(name, _mean_hops(variant)) for name, variant in result.variants.items()]
    theirs = [_path(one.name, one.parts, published=True) for one in PUBLISHED if one.parts]
    return ours + theirs


def begin(result: Result) -> int:
    """When the first measured write was due, Unix milliseconds."""
    return min((write.scheduled_at for write in result.observation.writes), default=0)


def moments(arrivals: Iterable[Arrival], begin: int) -> list[Moment]:
    """By write, in the order of the schedule."""
    by_write: defaultdict[int, list[Arrival]] = defaultdict(list)
    for one in arrivals:
        by_write[one.write.scheduled_at].append(one)
    return [
        Moment(
            (at - begin) / 1000,
            max(one.total for one in of),
            any((one.delivery.receives or 1) > 1 for one in of),
        )
        for at, of in sorted(by_write.items())
    ]


def warm_up(result: Result, variant: str) -> list[Moment]:
    """Of the writes before the measured ones: what was cold when the run began is among them."""
    observed = result.observation
    arrivals = join(observed.warm_up, observed.deliveries)
    row = measure(variant, observed.warm_up, observed.tasks, arrivals, sns_clock=False)
    return moments(row.arrivals, begin(result))


def heat(result: Result, variant: VariantResult) -> Heat:
    """How late each task was at worst over the run, a row for each task."""
    writes, first = result.observation.writes, begin(result)
    columns = min(COLUMNS, len(writes))
    # One more than the last is due: every write lies before the end of the last column.
    width = (max((write.scheduled_at for write in writes), default=0) - first + 1) / max(1, columns)

    def column(write: Write) -> int:
        return int((write.scheduled_at - first) / width)

    names = _task_names(result)
    tasks = sorted(names, key=names.__getitem__)
    rows = {task: row for row, task in enumerate(tasks)}
    worst: list[list[int | None]] = [[None] * columns for _ in tasks]
    for one in variant.arrivals:
        row, at = worst[rows[one.delivery.task]], column(one.write)
        row[at] = max(row[at] or one.total, one.total)
    return Heat(
        tasks=tuple(names[task] for task in tasks),
        at_s=tuple((place + 0.5) * width / 1000 for place in range(columns)),
        worst=tuple(tuple(row) for row in worst),
        lost=frozenset((column(loss.write), rows[loss.task]) for loss in variant.lost),
    )


def _task_names(result: Result) -> dict[str, str]:
    """A task by its slot, where a delivery tells it, and the beginning of its id."""
    slots: dict[str, str] = {}
    for one in result.arrivals:
        slots.setdefault(one.delivery.task, one.delivery.slot)
    return {
        task: " ".join(filter(None, (slots.get(task), task.rsplit("/", 1)[-1][:4])))
        for task in result.observation.tasks
    }


def _path(name: str, parts: dict[str, float], *, published: bool = False) -> Path:
    starts = accumulate(parts.values(), initial=0.0)
    steps = (Step(part, start, ms) for (part, ms), start in zip(parts.items(), starts, strict=False))
    return Path(name, tuple(steps), published)


def _mean_hops(variant: VariantResult) -> dict[str, float]:
    names = ("forward", "sns", "sqs", "apply")
    if variant.ms["forward"].mean is None:
        names = ("write_to_queue", "sqs", "apply")
    if variant.ms["apply"].mean is None:  # a poll has no queue
        names = ("write_to_applied",)
    means = {name: variant.ms[name].mean for name in names}
    return {name.replace("_", " "): mean for name, mean in means.items() if mean is not None}
