"""What a run of the hand-off looks like to its reader."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby

import plotly.graph_objects as go
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.bootstrap import LEVEL
from bench.handoff.result import Result, Row, measure
from bench.published import EPSAGON, HANDOFFS
from bench.report import charts, markup
from bench.report.terminal import table_of
from bench.report.wording import failures, span
from bench.statistics import Distribution

LOSSES_SHOWN = 20
COLUMNS = ("mean", "p50", "p99")
HEAD = ("A mean", "p50", "p99", "→ B mean", "p50", "p99", "n")
NARROW = ("A p50", "p99", "A → B p50", "p99", "n")
COUNTS = ("sent", "came", "lost", "copies", "warm", "cold", "first")
SPANS = ("A p50", "A → B p50")
SURE = (
    f"{LEVEL} % intervals by bootstrap, drawn by message. A p99 of fewer than a hundred messages is their "
    "worst, and has none worth telling."
)
SYMBOLS = ("circle", "diamond-open")
SIZES_PX = (6, 9, 13)


def headline(result: Result) -> str:
    """The run in a sentence: what failed, what was lost, and what the longest work of B costs A."""
    given = [each for each in result.handoffs if each.order.error is None]
    lost, ways = len(result.lost), result.observation.ways
    losses = f"{lost:,} of {len(given):,} messages lost" if lost else f"all {len(given):,} messages came"
    failed = failures(len(result.failed), len(result.handoffs), "orders")
    became = ", ".join(filter(None, (failed, losses)))
    size, work = min(size for _, size, _ in result.warm), max(work for _, _, work in result.warm)
    rows = ((way, result.warm[way, size, work]) for way in ways)
    paid = ", ".join(f"{way} {ms(row.operation.p50)} / {ms(row.delivery.p50)}" for way, row in rows)
    return (
        f"{len(ways)} ways from A to B: {became}. {kilobytes(size)}, B working {work} ms, p50 in ms of A's "
        f"operation / A → B: {paid}."
    )


def show(result: Result, console: Console) -> None:
    """Print the durations by cell, warm and cold, beside the published ones, and what was lost."""
    console.print(f"\n[bold]{escape(headline(result))}[/]", highlight=False)
    console.print(_counted(result), _table(result))
    for note in filter(None, (result.caveat, *result.notes, f"{EPSAGON}.")):
        console.print(note, style="dim", highlight=False)
    for each in result.failed[:LOSSES_SHOWN]:
        console.print(
            f"[red]failed[/] {each.order.message.id}: {escape(each.order.error or '')}", soft_wrap=True
        )
    for each in result.lost[:LOSSES_SHOWN]:
        console.print(f"[red]lost[/] {each.order.message.id} by {each.order.message.way}", soft_wrap=True)
    if len(result.lost) > LOSSES_SHOWN:
        console.print(f"… and {len(result.lost) - LOSSES_SHOWN} more, all in summary.json")


def page(result: Result) -> str:
    """The report, one file."""
    caveat = result.caveat
    legend = "Each mark is a message that neither function began with, the larger the more bytes it has"
    if len({work for _, _, work in result.warm}) > 1:
        legend += "; hollow where B works the longest. A synchronous A waits for B"
    sections = (
        markup.section(
            "Messages",
            "Warm: neither function began with it. Cold: B did. First: A opened a connection for it.",
            markup.table(("", *COUNTS), _counts(result)),
        ),
        markup.section(
            "Operation against delivery",
            " ".join(filter(None, (f"{legend}.", caveat))),
            markup.chart("handoff", operation_against_delivery(result)),
        ),
        markup.section("Milliseconds", caveat, "".join(_tables(result))),
        markup.section("How sure", SURE, markup.table(("", *SPANS), _sure(result))),
        markup.section(
            "Published figures",
            f"Measured on AWS, by others, from A until B has it. {EPSAGON}.",
            markup.table(("", *COLUMNS), _published()),
        ),
        *([markup.section("Lost", "", _losses(result))] if result.lost or result.failed else []),
        markup.section("Environment", "", markup.table((), _environment(result), "prose")),
    )
    return markup.document(headline(result), caveat, result.notes, sections, passed=result.passed)


def operation_against_delivery(result: Result) -> go.Figure:
    """What a message cost A, and how long it took to B: a mark for each warm message."""
    chart, works = go.Figure(), sorted({work for _, _, work in result.warm})
    sizes = sorted({size for _, size, _ in result.warm})
    for way, colour in zip(result.observation.ways, charts.COLOURS, strict=False):
        for work in works:
            marks = [
                (each.sent.operation, each.delivery, each.order.message.size)
                for each in result.measured
                if each.sent
                and each.state == "warm"
                and (each.order.message.way, each.order.message.work_ms) == (way, work)
            ]
            chart.add_scatter(
                x=[operation for operation, _, _ in marks],
                y=[delivery for _, delivery, _ in marks],
                name=way,
                legendgroup=way,
                showlegend=work == works[0],
                mode="markers",
                marker={
                    "color": colour,
                    "opacity": 0.75,
                    "line": {"width": 1.5, "color": colour},
                    "symbol": SYMBOLS[work == works[-1] and len(works) > 1],
                    "size": [SIZES_PX[min(sizes.index(size), len(SIZES_PX) - 1)] for _, _, size in marks],
                },
                customdata=[kilobytes(size) for _, _, size in marks],
                hovertemplate=f"A %{{x:.1f}} ms, A → B %{{y:.1f}} ms, %{{customdata}}, B works {work} ms"
                f"<extra>{way}</extra>",
            )
    warm = [each for each in result.measured if each.sent and each.state == "warm"]
    chart.update_xaxes(**charts.logarithmic(each.sent.operation for each in warm if each.sent))
    chart.update_yaxes(**charts.logarithmic(each.delivery for each in warm if each.delivery is not None))
    titles = {"x": "operation in A, ms (logarithmic)", "y": "A → B, ms (logarithmic)"}
    return charts.plain(chart, **titles).update_layout(height=460)


def kilobytes(size: int) -> str:
    """A size to read."""
    return f"{size / 1024:g} KB"


def ms(value: float | None) -> str:
    """Milliseconds to read."""
    return "–" if value is None else f"{value:,.1f}"


def _groups(result: Result) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Each cell's durations, then those of cold starts: a title, and a row for each way."""
    for (size, work_ms), rows in groupby(result.warm.items(), key=lambda item: item[0][1:]):
        yield (
            f"{kilobytes(size)}, B {work_ms} ms",
            [(way, *_durations(row)) for (way, _, _), row in rows],
        )
    if result.cold:
        size = min(size for _, size, _ in result.warm)
        title = f"{kilobytes(size)}, B cold"
        yield title, [(way, *_durations(row)) for way, row in result.cold.items()]


def _durations(row: Row) -> tuple[str, ...]:
    def told(of: Distribution) -> Iterator[str]:
        return (ms(getattr(of, column)) for column in COLUMNS)

    return (*told(row.operation), *told(row.delivery), str(row.delivery.count))


def _counts(result: Result) -> Iterator[Sequence[str]]:
    for way in result.observation.ways:
        whole = measure([each for each in result.handoffs if each.order.message.way == way], "warm")
        counts = (whole.expected, whole.delivered, whole.lost, whole.duplicates)
        states = (whole.states.get("warm", 0), whole.states.get("cold", 0), whole.states.get("first", 0))
        yield way, *(f"{count:,}" for count in (*counts, *states))


def _tables(result: Result) -> Iterator[str]:
    for title, rows in _groups(result):
        # Without the means: a page may be as narrow as a telephone, and the chart shows every message.
        yield markup.table((title, *NARROW), ((of[0], *of[2:4], *of[5:]) for of in rows))


def _sure(result: Result) -> Iterator[Sequence[str]]:
    cells = {
        f"{way}, {kilobytes(size)}, B {work_ms} ms": row for (way, size, work_ms), row in result.warm.items()
    }
    for name, row in (cells | {f"{way}, B cold": row for way, row in result.cold.items()}).items():
        yield name, *(span(row.intervals[of].get("p50")) for of in ("operation", "delivery"))


def _published() -> Iterator[Sequence[str]]:
    return ((one.name, *(ms(getattr(one, column)) for column in COLUMNS)) for one in HANDOFFS)


def _losses(result: Result) -> str:
    rows = (
        (each.phase, each.order.message.id, each.order.message.way, each.order.error or "never came")
        for each in chain(result.lost, result.failed)
    )
    return markup.table(("phase", "message", "way", "what became of it"), rows, "prose")


def _environment(result: Result) -> Iterator[Sequence[str]]:
    yield from markup.facts(result.observation.environment)
    yield "preset", result.observation.preset
    yield "interval", f"{result.observation.interval_s} s"
    late = result.lateness
    yield "late orders", f"p50 {ms(late.p50)} ms, at worst {ms(late.max)} ms"
    warm_up = result.summary()["warm_up"]
    yield "warm-up (not measured)", ", ".join(f"{count} {name}" for name, count in warm_up.items())


def _counted(result: Result) -> Table:
    table = table_of("messages", COUNTS)
    for name, *counts in _counts(result):
        table.add_row(f"[bold]{name}[/]", *counts)
    return table


def _table(result: Result) -> Table:
    table = table_of("milliseconds", HEAD)
    for title, rows in _groups(result):
        table.add_row(f"[bold]{title}[/]", end_section=False)
        for name, *figures in rows:
            table.add_row(f"  {name}", *figures)
    table.add_section()
    table.add_row("[bold]AWS, 2022[/]")
    for one in HANDOFFS:
        published = (ms(getattr(one, column)) for column in COLUMNS)
        table.add_row(f"  {one.name}", *("–" for _ in COLUMNS), *published)
    return table
