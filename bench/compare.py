"""`bench compare`: two runs side by side, and whether they differ by more than noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from bench.bootstrap import LEVEL, SEED, STATISTICS, Interval, interval, replicates
from bench.environment import caveat
from bench.errors import ExperimentError
from bench.report.terminal import table_of
from bench.report.wording import figure, span
from bench.result import Kept, load
from bench.statistics import HOPS, VariantResult, measure

NEGLIGIBLE, SMALL, MEDIUM = 0.147, 0.33, 0.474
"""Cliff's delta, by the bounds of Romano and others (2006)."""
COLUMNS = ("A", "B", "B − A", "delta", "")


@dataclass(frozen=True, slots=True)
class Difference:
    """What a hop took in B beside what it took in A, milliseconds, by p50 or p99.

    The interval is of B − A. `delta` is Cliff's, of the whole hop and told with its p50: how much more often
    a delivery of B took longer than one of A than the reverse, from −1 to 1. Both are None where either run
    has fewer than two writes to draw.
    """

    variant: str
    hop: str
    statistic: str
    a: float | None
    b: float | None
    interval: Interval | None
    delta: float | None

    @property
    def verdict(self) -> str:
        """Whether B is slower, and how large an effect that is; or noise: the interval holds 0."""
        if self.interval is None:
            return "too few writes"
        low, high = self.interval
        if low <= 0 <= high:
            return "noise"
        slower = "slower" if low > 0 else "faster"
        if self.delta is None:
            return slower
        bounds = ((NEGLIGIBLE, "negligible"), (SMALL, "small"), (MEDIUM, "medium"))
        return f"{slower}, {next((word for bound, word in bounds if abs(self.delta) < bound), 'large')}"


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="The folder of a result of `bench run`.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="That of another.")],
) -> None:
    """Compare two runs: by each variant and hop the difference, how large it is, and whether it is noise."""
    a, b = load(first), load(second)
    refuse_unlike(a, b)
    console = Console()
    told = table_of("milliseconds", COLUMNS)
    for variant, of_variant in groupby(differences(a, b), key=lambda each: each.variant):
        told.add_row(f"[bold]{variant}[/]")
        for each in of_variant:
            told.add_row(
                f" {each.hop.replace('_to_', ' → ')} {each.statistic}",
                figure(each.a),
                figure(each.b),
                span(each.interval),
                "" if each.delta is None else f"{each.delta:+.2f}",
                each.verdict,
                style="dim" if each.verdict == "noise" else "",
            )
    console.print(f"A {a.name}, B {b.name}", told, highlight=False)
    for note in notes(a, b):
        console.print(note, style="dim", highlight=False, soft_wrap=True)


def refuse_unlike(a: Kept, b: Kept) -> None:
    """Raise unless the two differ in what a comparison is to tell of alone."""
    of_a, of_b = _conditions(a.summary), _conditions(b.summary)
    unlike = [f"{name} {of_a[name]} and {of_b[name]}" for name in of_a if of_a[name] != of_b[name]]
    if unlike:
        raise ExperimentError(f"{a.name} and {b.name} cannot be compared: {'; '.join(unlike)}")
    if not _shared(a, b):
        raise ExperimentError(f"{a.name} and {b.name} have no variant in common")


def differences(a: Kept, b: Kept) -> Iterator[Difference]:
    """By each variant and hop that both have a clock for."""
    random = np.random.default_rng(SEED)
    for variant in _shared(a, b):
        rows = [_row(each, variant) for each in (a, b)]
        for hop in HOPS:
            samples = [row.by_write(hop) for row in rows]
            if not all(samples):
                continue
            of_a, of_b = (row.ms[hop] for row in rows)
            spans, delta = dict[str, Interval](), None
            if min(map(len, samples)) > 1:
                drawn_a, drawn_b = (replicates(sample, random) for sample in samples)
                spans = dict(zip(STATISTICS, map(interval, (drawn_b - drawn_a).T), strict=True))
                delta = cliffs_delta(*(np.concatenate(sample) for sample in samples))
            yield Difference(variant, hop, "p50", of_a.p50, of_b.p50, spans.get("p50"), delta)
            yield Difference(variant, hop, "p99", of_a.p99, of_b.p99, spans.get("p99"), None)


def cliffs_delta(a: np.ndarray, b: np.ndarray) -> float:
    """How often one of `b` exceeds one of `a`, less how often it is below, over all pairs."""
    ordered = np.sort(a)
    below, not_above = (np.searchsorted(ordered, b, side=side) for side in ("left", "right"))
    return float((below.sum() + not_above.sum()) / (len(a) * len(b)) - 1)


def notes(a: Kept, b: Kept) -> Iterator[str]:
    """What a reader has to know beside the table."""
    if said := caveat(a.summary["environment"]):
        yield said
    yield (
        f"Noise: the {LEVEL} % interval of B − A, drawn by write, holds 0. One in twenty "
        "that does not is noise too, and more if runs of the same differ: compare two such runs first."
    )
    loads = [each.summary["environment"].get("load") for each in (a, b)]
    yield f"The machine's load in the minute before: A {loads[0]}, B {loads[1]}."
    for each in (a, b):
        if lost := sum(row["lost"] for row in each.summary["variants"].values()):
            yield f"{each.name} lost {lost:,} deliveries, and they are not in its figures."
    alone = [name for name in (*a.summary["variants"], *b.summary["variants"]) if name not in _shared(a, b)]
    if alone:
        yield f"One of them alone has variant {', '.join(alone)}: queues and tasks had another load."
    of_a, of_b = (each.summary["environment"] for each in (a, b))
    differing = [
        f"{name} {of_a.get(name)} → {of_b.get(name)}"
        for name in ("stack", "commit", "cpus", "platform", "python", "versions")
        if of_a.get(name) != of_b.get(name)
    ]
    if differing:
        yield f"They differ in {'; '.join(differing)}."
    counts = [each.summary["writes"] for each in (a, b)]
    if counts[0] != counts[1]:
        yield f"They made {counts[0]:,} and {counts[1]:,} writes."


def _conditions(summary: Mapping[str, Any]) -> dict[str, Any]:
    of, burst = summary["environment"], summary["burst"]
    return {
        "cloud": of["cloud"],
        "region": of["region"],
        "tasks": summary["tasks"],
        "interval": f"{summary['interval_s']} s"
        if burst is None
        else f"a burst's to {burst['steps'][-1]['rate']:g}/s",
        "entry": summary["entry"],
    }


def _shared(a: Kept, b: Kept) -> list[str]:
    return [name for name in a.summary["variants"] if name in b.summary["variants"]]


def _row(of: Kept, variant: str) -> VariantResult:
    tasks = sorted({arrival.delivery.task for arrival in of.arrivals})
    # Whether SNS's clock is coarse the run has decided, by its warm-up too.
    told = of.summary["variants"][variant]["ms"]["forward"]["count"]
    return measure(variant, [], tasks, of.arrivals, sns_clock=told > 0)
