"""What a run shows meanwhile, and the tables at its end."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.bootstrap import LEVEL, STATISTICS
from bench.published import PUBLISHED
from bench.report.wording import (
    AWS_ONLY,
    COUNTS,
    STEP,
    counts,
    figure,
    headline,
    knee,
    paired,
    priced,
    span,
    steps,
)
from bench.result import Result

LOSSES_SHOWN = 20
COLUMNS = ("mean", "p50", "p90", "p99", "max")


def progress_bars(console: Console) -> Progress:
    """Drawn twice a second: it should cost nothing beside what is measured."""
    columns = TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, refresh_per_second=2)


def show(result: Result, console: Console) -> None:
    """Print each variant's counts, its milliseconds beside the published ones, and what was lost."""
    console.print(f"\n[bold]{escape(headline(result))}[/]", highlight=False)
    console.print(_deliveries(result), _milliseconds(result), _sure(result))
    if burst := result.observation.burst:
        table = table_of(STEP[0], STEP[1:])
        for row in steps(burst):
            table.add_row(*row)
        console.print(table, knee(burst), highlight=False)
    if result.paired:
        console.print(paired(result.paired), highlight=False)
    for note in (result.caveat, *result.notes, priced(result.costs) if result.costs else ""):
        console.print(note, style="dim", highlight=False)
    for write in result.failed:
        console.print(
            f"[red]failed[/] write {write.number} ({write.kind} {write.id}): {escape(write.error or '')}"
        )
    for loss in result.lost[:LOSSES_SHOWN]:
        write = f"write {loss.write.number} ({loss.write.kind} {loss.write.id} version {loss.write.version})"
        console.print(f"[red]lost[/] {write} at task {loss.task} by {loss.forwarder}", soft_wrap=True)
    if len(result.lost) > LOSSES_SHOWN:
        console.print(f"… and {len(result.lost) - LOSSES_SHOWN} more, all in summary.json")


def _deliveries(result: Result) -> Table:
    table = table_of("deliveries", COUNTS)
    for name, variant in result.variants.items():
        table.add_row(f"[bold]{name}[/]", *counts(variant))
    for name in result.observation.aws_only:
        table.add_row(f"[bold]{name}[/]", AWS_ONLY)
    return table


def _milliseconds(result: Result) -> Table:
    table = table_of("milliseconds", COLUMNS)
    for name, variant in result.variants.items():
        for hop, took in variant.ms.items():
            style, label = (
                ("bold", f"{name}: write → applied") if hop == "write_to_applied" else ("dim", f"  {hop}")
            )
            table.add_row(label, *(figure(getattr(took, column)) for column in COLUMNS), style=style)
    for hop, took in result.entry_ms.items():
        label = f"entry {result.observation.entry}: {hop.replace('_to_', ' → ')}"
        table.add_row(label, *(figure(getattr(took, column)) for column in COLUMNS))
    for kind, took in result.function_ms.items():
        label = f"lambda's function, {kind}: duration"
        table.add_row(label, *(figure(getattr(took, column)) for column in COLUMNS))
    table.add_section()
    for published in PUBLISHED:
        table.add_row(
            f"AWS, published: {published.name}",
            *(figure(getattr(published, column, None)) for column in COLUMNS),
        )
    return table


def _sure(result: Result) -> Table:
    table = table_of(f"{LEVEL} % intervals, ms", STATISTICS)
    for name, hops in result.intervals.items():
        of = hops["write_to_applied"]
        table.add_row(f"{name}: write → applied", *(span(of.get(statistic)) for statistic in STATISTICS))
    return table


def table_of(title: str, columns: tuple[str, ...]) -> Table:
    """A table of figures, whose rows have a title."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(title)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
