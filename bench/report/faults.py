"""What a fault run looks like to its reader."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.faults.checker import Life
from bench.faults.result import Result
from bench.faults.schedule import Strike
from bench.report import charts, markup
from bench.report.wording import DEADLINE
from bench.statistics import Arrival

SHOWN = 40
HEAD = ("fault", "from, s", "to, s", "recovery, s", "what it hit")
ROW_PX, GAP_PX = 17, 26
BEHIND_COLOUR = charts.COLOURS[1]


def show_schedule(strikes: Sequence[Strike], console: Console) -> None:
    """Print which fault is to strike when."""
    table = Table("fault", "from, s", "to, s", box=box.SIMPLE_HEAD)
    for strike in strikes:
        table.add_row(strike.fault, f"{strike.begin_s:.1f}", f"{strike.end_s:.1f}")
    console.print(table)


def show(result: Result, console: Console) -> None:
    """Print what each fault did, what it cost, and the verdict; times since the first write."""
    table = Table(*HEAD, box=box.SIMPLE_HEAD)
    for row in _faults(result):
        table.add_row(*row)
    console.print(table)
    for one in result.violations[:SHOWN]:
        write = f"{escape(one.id)} version {one.version}"
        console.print(
            f"[red]{one.kind}[/] {write} at task {one.task}, which holds {one.held or 'nothing'}",
            soft_wrap=True,
        )
    if (more := len(result.violations) - SHOWN) > 0:
        console.print(f"… and {more} more, all in summary.json")
    for period in result.unexplained:
        took, at = (period.until - period.since) / 1000, _since(result, period.since)
        console.print(
            f"[red]behind[/] for {took:.1f} s from {at:.1f} s on: task {period.task}", soft_wrap=True
        )
    for line in (*_verdict(result), "failed" if result.problems else "passed"):
        console.print(line, highlight=False, soft_wrap=True)
    for problem in result.problems:
        console.print(f"[red]problem[/] {escape(problem)}", soft_wrap=True)


def page(result: Result) -> str:
    """The report, one file."""
    headline, *notes = _verdict(result)
    sections = (
        markup.section(
            "Over the run",
            "Faults: how long each struck; thin, until all tasks were ready and none was late. Tasks: while "
            f"they were ready; orange, behind for more than {DEADLINE}; red, and no fault explains it. "
            "Writes: how long each took to the last of the tasks that were ready until a message or a poll "
            "told of it.",
            markup.chart("timeline", timeline(result)),
        ),
        markup.section("Faults", "", markup.table(HEAD, _faults(result))),
        *([markup.section("Not accounted for", "", _violations(result))] if result.violations else []),
        markup.section(
            "Environment", "", markup.table((), markup.facts(result.observation.environment), "prose")
        ),
    )
    notes = (*notes, *(f"Problem: {problem}." for problem in result.problems))
    return markup.document(f"{headline}.", "", notes, sections, passed=not result.problems)


def timeline(result: Result) -> go.Figure:
    """The faults, the tasks and the writes, one above the other on the same seconds."""
    faults, tasks = result.observation.struck, _task_names(result)
    heights = [ROW_PX * len(faults), ROW_PX * max(1, len(tasks)), 300]
    height = sum(heights) + 2 * GAP_PX
    chart = make_subplots(
        rows=3,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=GAP_PX / height,
        subplot_titles=("faults", "tasks", "writes, ms (logarithmic)"),
    )
    for one, recovery in zip(faults, result.recoveries, strict=True):
        _bar(chart, result, one.fault, (one.begin, one.end), charts.COLOURS[0], row=1)
        if recovery:
            _bar(chart, result, one.fault, (one.end, one.end + recovery), charts.COLOURS[0], row=1, thick=0.2)
    for life in result.lives:
        _bar(
            chart,
            result,
            tasks[life.task],
            (life.ready_at, life.until),
            charts.PUBLISHED_COLOUR,
            row=2,
            thick=0.2,
        )
    for period in result.behind:
        colour = charts.FAULT_COLOUR if period in result.unexplained else BEHIND_COLOUR
        _bar(chart, result, tasks[period.task], (period.since, period.until), colour, row=2)
    last = _last(result)
    for by, colour in zip(
        sorted({one.delivery.forwarder for one in last}), charts.COLOURS[0::2], strict=False
    ):
        own = [one for one in last if one.delivery.forwarder == by]
        chart.add_scatter(
            x=[_since(result, one.write.written_at) for one in own],
            y=[max(1, one.total) for one in own],
            name=f"last by {by}",
            mode="markers",
            marker={"color": colour, "size": 5},
            hovertemplate=f"%{{y}} ms<extra>{by}</extra>",
            row=3,
            col=1,
        )
    chart.update_annotations(x=0, xanchor="left", font_size=13)  # the titles
    charts.plain(chart).update_layout(
        barmode="overlay", height=height + 110, margin={"t": 28}, legend={"y": -0.09, "yanchor": "top"}
    )
    for row in (1, 2):
        chart.update_yaxes(
            type="category", autorange="reversed", showgrid=False, tickfont={"size": 11}, row=row, col=1
        )
    chart.update_yaxes(**charts.logarithmic(one.total for one in last), row=3, col=1)
    chart.update_xaxes(title={"text": "s since the first write", "font": {"size": 13}}, row=3, col=1)
    return chart


def _bar(
    chart: go.Figure,
    result: Result,
    name: str,
    period: tuple[int, int],
    colour: str,
    *,
    row: int,
    thick: float = 0.75,
) -> None:
    begin, end = (_since(result, moment) for moment in period)
    chart.add_bar(
        x=[end - begin],
        y=[name],
        base=begin,
        orientation="h",
        width=thick,
        marker={"color": colour, "line": {"color": colour, "width": 1}},  # what took no time is seen too
        showlegend=False,
        hovertemplate=f"{name}: {begin:.1f} s to {end:.1f} s<extra></extra>",
        row=row,
        col=1,
    )


def _last(result: Result) -> list[Arrival]:
    """Each write's arrival at the task that it reached last, where it came in several ways by the first.

    Of tasks that were ready from the write until it came: what others find in their queue, their scan told.
    """
    lives: defaultdict[str, list[Life]] = defaultdict(list)
    for life in result.lives:
        lives[life.task].append(life)
    first: dict[tuple[str, int | None, str], Arrival] = {}
    for one in result.arrivals:
        made, came = one.write.written_at, one.delivery.applied_at
        if not any(life.ready_at <= made and came <= life.until for life in lives[one.delivery.task]):
            continue
        first.setdefault((one.write.id, one.write.version, one.delivery.task), one)
    last: dict[tuple[str, int | None], Arrival] = {}
    for (item_id, version, _), one in first.items():
        other = last.setdefault((item_id, version), one)
        if one.total > other.total:
            last[item_id, version] = one
    return list(last.values())


def _task_names(result: Result) -> dict[str, str]:
    """The beginnings of the ids of those that were ready at some time, in the order of that."""
    return {life.task: life.task.rsplit("/", 1)[-1][:6] for life in result.lives}


def _since(result: Result, moment: int) -> float:
    """Seconds since the first write."""
    return (moment - result.observation.first) / 1000


def _faults(result: Result) -> Iterator[tuple[str, ...]]:
    for one, recovery in zip(result.observation.struck, result.recoveries, strict=True):
        since, until = (f"{_since(result, moment):.1f}" for moment in (one.begin, one.end))
        told = "never" if recovery is None else f"{recovery / 1000:.1f}"
        yield one.fault, since, until, told, one.note or one.problem


def _violations(result: Result) -> str:
    rows = (
        (one.kind, f"{one.id} version {one.version}", one.task.rsplit("/", 1)[-1], str(one.held or "nothing"))
        for one in result.violations[:SHOWN]
    )
    return markup.table(("kind", "write", "task", "which holds"), rows, "prose")


def _verdict(result: Result) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {kind}" for kind, count in result.kinds.items())
    ready = result.start_to_ready
    return (
        f"{result.written} writes acknowledged, {len(result.observation.tasks)} tasks at the end: {counts}",
        f"behind for more than {DEADLINE}: {len(result.behind)} times, {len(result.unexplained)} "
        f"unexplained, for {result.worst_ms / 1000:.1f} s at worst",
        f"{result.fallbacks} fallbacks to polling, {result.repairs} repairs",
        f"process start → ready: p50 {ready.p50} ms, at worst {ready.max} ms ({ready.count} tasks)",
    )
