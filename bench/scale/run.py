"""`bench scale`: where the fan-out ends, by simulation; or that beside real runs on a local stack."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bench import environment
from bench.configuration import Configuration, configuration
from bench.cost.model import LAMBDA_BATCH, NO_LEVERS, Demand, Levers, bill
from bench.cost.prices import prices
from bench.errors import ExperimentError
from bench.report.terminal import progress_bars
from bench.result import RESULTS, folder_of
from bench.scale.aws import AWS
from bench.scale.emulator import measured
from bench.scale.limits import STREAM_SHARDS, Need, needs
from bench.scale.path import Load, Rates, simulate
from bench.scale.validation import Comparison, compared
from bench.stack import find, refuse_other_variants

TASKS, CHANGES = (20, 1_000, 10_000), (1, 100, 1_000)
ITEMS = 10_000
SECONDS, LEAST, SAMPLED = 30, 300, 4
"""Of writes that are simulated, or as long as so many take; and tasks: on AWS they share no processor."""
LEVERS = {
    "as it is": NO_LEVERS,
    "packed": Levers(pack=True),
    "and shared DLQs": Levers(pack=True, slots_per_alarm=100),
    "and S3 snapshots": Levers(pack=True, slots_per_alarm=100, s3=True),
    "and 1 log line in 1,000": Levers(pack=True, slots_per_alarm=100, s3=True, lines=0.001),
    "and 10 shards of keys": Levers(pack=True, slots_per_alarm=100, s3=True, lines=0.001, shards=10),
}
"""Each adds to the one before it."""


@dataclass(frozen=True)
class Row:
    """A fleet under one rate: what it needs, how late it is in seconds, and its USD a month."""

    levers: str
    tasks: int
    changes: float
    needs: Sequence[Need]
    p50: float
    p99: float
    growth: float
    usd: float

    @property
    def keeps_up(self) -> bool:
        """Else each second of writes adds `growth` to the delay."""
        return self.growth < 0.02


def scale(
    *,
    stack: Annotated[
        str | None, typer.Option(help="A local stack that is up: compare the simulation with runs on it.")
    ] = None,
    items: Annotated[
        int | None,
        typer.Option(min=0, help="Items in the table, of 300 bytes.", show_default=f"{ITEMS:,}"),
    ] = None,
) -> None:
    """Tell where the fan-out ends: which limit comes first, how late it is, what it costs, what helps."""
    console, start = Console(), datetime.now(UTC)
    if stack is None:
        rows = list(simulated(ITEMS if items is None else items))
        told: dict[str, object] = {"rows": [kept(row) for row in rows]}
        console.print(_rows(rows), _legend(rows))
    else:
        found = find(stack)
        if items is not None:
            raise ExperimentError("--items is of the simulation alone: runs on a stack bring their own")
        if found.endpoint is None:
            raise ExperimentError(f"stack {stack!r} is on AWS: the emulator's rates are measured beside it")
        alone = "the simulation is of lambda alone, so bring the stack up with --config 'variants=[lambda]'"
        refuse_other_variants(found, {"lambda"}, alone)
        rates = measured(found)
        described = environment.describe(found, 1, start)
        with progress_bars(console) as progress:
            comparisons = list(compared(found, rates, progress))
        told = {
            "environment": described,
            "rates": asdict(rates),
            "runs": [asdict(one) for one in comparisons],
        }
        console.print(_comparisons(comparisons), _rates_line(rates))
    with folder_of(environment.stamp(start), RESULTS) as folder:
        (folder / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    console.print(f"Summary: {folder / 'summary.json'}", soft_wrap=True)


def simulated(items: int) -> Iterator[Row]:
    """Each fleet at each rate by the Lambda as it is, then the largest with one lever after the other."""
    of = configuration("lambda")
    for tasks in TASKS:
        for changes in CHANGES:
            yield row("as it is", of, tasks, changes, items)
    for name in LEVERS:
        yield row(name, of, TASKS[-1], CHANGES[-1], items)


def row(levers: str, of: Configuration, tasks: int, changes: float, items: int) -> Row:
    """One fleet under one rate."""
    given, of = LEVERS[levers], of.having(tasks_min=tasks, tasks_max=tasks)
    demand = Demand(changes=changes, items=items, item_bytes=300)
    load = Load(
        tasks=tasks,
        changes=changes,
        seconds=max(SECONDS, LEAST / changes),
        sampled=SAMPLED,
        shards=STREAM_SHARDS,
        pack=LAMBDA_BATCH if given.pack else 1,
        topics=given.shards,
    )
    outcome = simulate(AWS, load)
    return Row(
        levers,
        tasks,
        changes,
        needs(of, demand, given, AWS, outcome.packed),
        outcome.percentile(50),
        outcome.percentile(99),
        outcome.growth,
        bill(of, demand, prices(of.region), given, packed=outcome.packed).usd,
    )


def kept(row: Row) -> dict[str, Any]:
    """The row in `summary.json`."""
    own = {name: value for name, value in vars(row).items() if name != "needs"}
    return own | {"needs": [need.quota.model_dump() | {"needed": need.needed} for need in row.needs]}


def late(row: Row) -> str:
    """How late a change comes, or how fast it falls behind."""
    if row.keeps_up:
        return f"{1000 * row.p50:,.0f} / {1000 * row.p99:,.0f} ms"
    return f"+{row.growth:.2f} s each second"


def beyond(row: Row) -> str:
    """The limits that are exceeded, the furthest first; else the nearest."""
    over = [need for need in row.needs if need.ratio > 1] or row.needs[:1]
    figures = ((f"{need.ratio:,.{0 if need.ratio >= 10 else 1}f}", need.quota.name) for need in over)
    return ", ".join(f"{figure} × {name}" for figure, name in figures)


def _rows(rows: Sequence[Row]) -> Table:
    table = Table("", "tasks", "changes/s", "p50 / p99", "USD a month", "of the limits", box=box.SIMPLE_HEAD)
    for one in rows:
        table.add_row(
            one.levers, f"{one.tasks:,}", f"{one.changes:,}", late(one), f"{one.usd:,.0f}", beyond(one)
        )
    return table


def _legend(rows: Sequence[Row]) -> Table:
    """What the limits are that were told."""
    quotas = {need.quota.name: need.quota for one in rows for need in one.needs}
    told = {name: quota for name, quota in quotas.items() if any(name in beyond(one) for one in rows)}
    table = Table("limit", "at most", "", "", box=box.SIMPLE_HEAD)
    for name, quota in told.items():
        table.add_row(name, f"{quota.most:,g}", "soft" if quota.soft else "", quota.what)
    return table


def _comparisons(comparisons: Sequence[Comparison]) -> Table:
    table = Table(
        "tasks", "changes/s", "lost", "p50, ms", "simulated", "p99, ms", "simulated", "together", "simulated",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for one in comparisons:
        figures = (one.p50, one.simulated_p50, one.p99, one.simulated_p99)
        table.add_row(
            f"{one.tasks}",
            f"{one.changes:g}",
            f"{one.lost}",
            *(f"{figure:,.0f}" for figure in figures),
            f"{one.together:.2f}",
            f"{one.simulated_together:.2f}",
        )
    return table


def _rates_line(rates: Rates) -> str:
    return json.dumps(asdict(rates))
