"""From what was observed to a result, and the files that it is kept in."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from bench.bootstrap import LEVEL, RESAMPLES, Interval, intervals
from bench.burst import Burst, kept_up
from bench.cost.variants import Costs
from bench.deliveries import POLL, Delivery
from bench.environment import caveat
from bench.errors import ExperimentError
from bench.invocations import Invocation
from bench.pairing import Pairing, pair
from bench.statistics import (
    Arrival,
    Distribution,
    Loss,
    VariantResult,
    acknowledged,
    coarse_sns_clock,
    distribution,
    expectations,
    fulfilled,
    join,
    measure,
)
from bench.writer import Write

RESULTS = Path("results")


@dataclass(frozen=True)
class Observation:
    """What was seen of a run; `tasks` are those that were ready when it began.

    `aws_only` are the stack's variants that do not run where the run took place: nothing is asked of them.
    `entry` is where the writes entered, and `appsync` what AppSync says that it took for them. A burst has
    no interval but steps, each with its own. `invocations` are the forwarder's function's, the warm-up's too.
    `notes` tell what could not be read.
    """

    environment: dict[str, Any]
    preset: str | None
    interval_s: float | None
    burst: Burst | None
    variants: list[str]
    tasks: list[str]
    tasks_at_end: list[str]
    warm_up: list[Write]
    writes: list[Write]
    deliveries: list[Delivery]
    converged: bool
    aws_only: list[str]
    entry: str
    appsync: Distribution
    invocations: list[Invocation]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Result:
    """What it amounts to: all that the reports draw on.

    `intervals` are of each variant's hops: how sure their mean, p50 and p99 are, milliseconds. `costs` are
    for its reader, and not of the run itself.
    """

    observation: Observation
    arrivals: list[Arrival]
    variants: dict[str, VariantResult]
    intervals: dict[str, dict[str, dict[str, Interval]]]
    paired: Pairing | None
    lateness: Distribution
    warm_up: dict[str, int]
    notes: list[str]
    costs: Costs | None

    @property
    def failed(self) -> list[Write]:
        """The writes that were not acknowledged."""
        return [write for write in self.observation.writes if write.error is not None]

    @property
    def lost(self) -> list[Loss]:
        """What did not arrive, of all variants."""
        return [loss for variant in self.variants.values() for loss in variant.lost]

    @property
    def entry_ms(self) -> dict[str, Distribution]:
        """What the entry took: a write until it was acknowledged, by the writer's clock; AppSync's share."""
        observed = self.observation
        took = (write.acknowledged_at - write.written_at for write in acknowledged(observed.writes))
        ms = {"write_to_acknowledged": distribution(took)}
        return ms | {"appsync": observed.appsync} if observed.entry == "appsync" else ms

    @property
    def function_ms(self) -> dict[str, Distribution]:
        """Lambda's Duration of the forwarder's function since the first measured write, watermarks' included.

        Cold starts, which are not in it, are told apart, but not by an emulator.
        """
        begin = min((write.scheduled_at for write in self.observation.writes), default=0)
        seen = [one for one in self.observation.invocations if one.at - one.ms >= begin]
        warm = "all" if self.caveat else "warm"
        told = {
            warm: [one.ms for one in seen if not one.cold],
            "cold": [one.ms for one in seen if one.cold],
        }
        return {name: distribution(ms) for name, ms in told.items() if ms}

    @property
    def passed(self) -> bool:
        """Enough was written, nothing was lost, and all tasks hold what the table holds."""
        observed = self.observation
        done = len(acknowledged(observed.writes))
        return done > 0 and kept_up(done, len(observed.writes)) and observed.converged and not self.lost

    @property
    def caveat(self) -> str:
        """What to say beside every latency; empty on AWS."""
        return caveat(self.observation.environment)

    def summary(self) -> dict[str, Any]:
        """`summary.json`. `writes` counts the acknowledged ones; `expected` is writes × tasks."""
        return {
            "environment": self.observation.environment,
            "writes": len(acknowledged(self.observation.writes)),
            "tasks": len(self.observation.tasks),
            "preset": self.observation.preset,
            "interval_s": self.observation.interval_s,
            "burst": self.observation.burst and self.observation.burst.summary(),
            "failed_writes": [
                {"write": write.number, "id": write.id, "kind": write.kind, "error": write.error}
                for write in self.failed
            ],
            "lateness_ms": asdict(self.lateness),
            "entry": self.observation.entry,
            "entry_ms": {hop: asdict(took) for hop, took in self.entry_ms.items()},
            "function_ms": {name: asdict(took) for name, took in self.function_ms.items()},
            "warm_up": self.warm_up,
            "intervals": {"per_cent": LEVEL, "drawn_by": "write", "resamples": RESAMPLES},
            "variants": {
                name: {**_row(variant), "intervals": self.intervals[name]}
                for name, variant in self.variants.items()
            },
            "paired": self.paired and self.paired.summary(),
            "aws_only": self.observation.aws_only,
            "usd_a_month": self.costs and {name: round(usd, 2) for name, usd in self.costs.usd.items()},
            "converged": self.observation.converged,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Kept:
    """A result in its folder: `summary.json` as it is, and each delivery."""

    name: str
    summary: dict[str, Any]
    arrivals: list[Arrival]


def conclude(observed: Observation, costs: Costs | None = None) -> Result:
    """Count and measure."""
    arrivals = join(observed.writes, observed.deliveries)
    sns_clock = not coarse_sns_clock(observed.deliveries)
    lateness = distribution(write.written_at - write.scheduled_at for write in observed.writes)
    warm_up = expectations(observed.warm_up, observed.tasks, observed.variants)
    arrived = fulfilled(observed.warm_up, observed.deliveries)
    variants = {
        name: measure(name, observed.writes, observed.tasks, arrivals, sns_clock=sns_clock)
        for name in observed.variants
    }
    return Result(
        observation=observed,
        arrivals=arrivals,
        variants=variants,
        intervals={
            name: {hop: intervals(variant.by_write(hop)) for hop in variant.ms}
            for name, variant in variants.items()
        },
        paired=pair(variants, sns_clock=sns_clock),
        lateness=lateness,
        warm_up={
            "writes": len(acknowledged(observed.warm_up)),
            "expected": len(warm_up),
            "delivered": len(warm_up & arrived),
        },
        notes=list(_notes(observed, variants, lateness, sns_clock=sns_clock)),
        costs=costs,
    )


def _notes(
    observed: Observation, variants: dict[str, VariantResult], lateness: Distribution, *, sns_clock: bool
) -> Iterator[str]:
    yield from observed.notes
    if observed.appsync.count:
        yield (
            f"AppSync's Latency is the mean of all {observed.appsync.count:,} requests in the minutes of the "
            f"run, the warm-up's {len(observed.warm_up)} and other callers' included."
        )
    if (late := lateness.p99 or 0) > LATE_MS:
        yield f"Writes began late, p99 {late:,} ms after their time: that wait is in no figure."
    if not sns_clock:
        yield "SNS gave whole seconds only: the hops forward and sns cannot be told (–)."
    for name, variant in variants.items():
        for hop, count in variant.negative.items():
            yield (
                f"{name}: {hop.replace('_', ' ')} came out negative {count} times: the clocks at its ends "
                "disagree. It is counted as it is."
            )
    left = set(observed.tasks) - set(observed.tasks_at_end)
    came = set(observed.tasks_at_end) - set(observed.tasks)
    if left or came:
        yield f"The fleet changed: {len(left)} of its {len(observed.tasks)} tasks left, {len(came)} came."
    made = {(write.id, write.version) for write in (*observed.warm_up, *observed.writes)}
    came = {(one.id, one.version) for one in observed.deliveries if one.forwarder != POLL}
    if strays := came - made:
        yield f"{len(strays)} changes were delivered that no acknowledged write made."


def _row(variant: VariantResult) -> dict[str, Any]:
    return {
        "expected": variant.expected,
        "delivered": variant.delivered,
        "lost": len(variant.lost),
        "duplicates": variant.duplicates,
        "out_of_order": variant.out_of_order,
        "ms": {hop: asdict(took) for hop, took in variant.ms.items()},
        "negative": variant.negative,
        "losses": [
            {
                "write": loss.write.number,
                "id": loss.write.id,
                "version": loss.write.version,
                "task": loss.task,
            }
            for loss in variant.lost
        ],
    }


def load(folder: Path) -> Kept:
    """A run's result as `save` kept it."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
        with (folder / "deliveries.csv").open(newline="") as file:
            arrivals = [_arrival(row) for row in csv.DictReader(file) if row["phase"] == MEASURED]
    except (OSError, ValueError, KeyError) as problem:
        raise ExperimentError(f"{folder} holds no result of `bench run`: {problem}") from None
    if "variants" not in summary:
        raise ExperimentError(f"{folder} is of another experiment: give results of `bench run`")
    if lacks := [key for key in _COMPARED if key not in summary]:
        raise ExperimentError(f"{folder} is of an older bench: its summary.json has no {', '.join(lacks)}")
    return Kept(folder.resolve().name, summary, arrivals)


def _arrival(row: Mapping[str, str]) -> Arrival:
    told = {name: row[to_camel(name)] or None for name in (*_OF_WRITE[1:], *_OF_DELIVERY)}
    # A poll tells of versions that it never saw: the write's own is not kept, and nothing asks for it.
    write = {"number": row["write"], "error": None, **told}
    return Arrival(_WRITE.validate_python(write), _DELIVERY.validate_python(told))


MEASURED, WARM_UP = "measured", "warm-up"
LATE_MS = 100
_COMPARED = ("environment", "tasks", "interval_s", "burst", "entry", "variants")
_WRITE, _DELIVERY = TypeAdapter(Write), TypeAdapter(Delivery)
_OF_WRITE = ("number", "kind", "scheduled_at", "written_at", "acknowledged_at", "traceparent")
_OF_DELIVERY, _WRITTEN, _INVOKED = (
    tuple(field.name for field in fields(of)) for of in (Delivery, Write, Invocation)
)


def save(result: Result, reports: Mapping[str, Callable[[Result], str]], results: Path) -> Path:
    """Write `summary.json` and all that was observed, point `latest` at them, and add the reports by name.

    In this order: a report that cannot be drawn loses nothing.
    """
    observed = result.observation
    warm_up = join(observed.warm_up, observed.deliveries)
    with folder_of(result.observation.environment["started"], results) as folder:
        (folder / "summary.json").write_text(json.dumps(result.summary(), indent=2) + "\n")
        save_deliveries({WARM_UP: warm_up, MEASURED: result.arrivals}, observed.deliveries, folder)
        writes = {WARM_UP: observed.warm_up, MEASURED: observed.writes}
        _save(
            folder / "writes.csv",
            ["phase", *map(to_camel, _WRITTEN)],
            ((phase, *attrgetter(*_WRITTEN)(write)) for phase, of in writes.items() for write in of),
        )
        _save(
            folder / "invocations.csv",
            _INVOKED,
            (attrgetter(*_INVOKED)(invocation) for invocation in observed.invocations),
        )
    for name, report in reports.items():
        (folder / name).write_text(report(result))
    return folder


def save_deliveries(
    arrivals: Mapping[str, Sequence[Arrival]], deliveries: Iterable[Delivery], folder: Path
) -> None:
    """Write `deliveries.csv`, a row for each write at each task that it came to, each time that it did.

    After those of each phase come the deliveries that tell of no write in them.
    """
    told = {id(arrival.delivery) for of in arrivals.values() for arrival in of}
    others = [delivery for delivery in deliveries if id(delivery) not in told]
    _save(
        folder / "deliveries.csv",
        ["phase", "write", *map(to_camel, (*_OF_WRITE[1:], *_OF_DELIVERY))],
        chain(
            (
                (phase, *attrgetter(*_OF_WRITE)(arrival.write), *attrgetter(*_OF_DELIVERY)(arrival.delivery))
                for phase, of in arrivals.items()
                for arrival in of
            ),
            (("", *[""] * len(_OF_WRITE), *attrgetter(*_OF_DELIVERY)(delivery)) for delivery in others),
        ),
    )


def _save(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


@contextmanager
def folder_of(started: str, results: Path) -> Iterator[Path]:
    """The folder for what an experiment found; `latest` points at it once all is written."""
    folder = results / started
    folder.mkdir(parents=True)
    yield folder
    following = results / f".latest-{os.getpid()}"
    following.symlink_to(folder.name)
    following.replace(results / "latest")
