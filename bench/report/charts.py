"""The charts, as plotly figures. Colours of text and lines come from the page's style, light or dark."""

from collections.abc import Iterable, Sequence
from math import log10
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bench.burst import DEADLINE_MS
from bench.report import series
from bench.report.series import Heat, Moment
from bench.report.wording import DEADLINE, figure
from bench.result import Result

COLOURS = ("#3987d6", "#e07b39", "#2fa37c", "#a66fd0", "#c9a227")
"""Told apart in light and dark, and by the colour-blind."""
PUBLISHED_COLOUR = "#8b96a1"
FAULT_COLOUR = "#d9483b"
SINCE = "s since the first measured write"
ROW_PX, HEAD_PX, LABEL_PX, TITLE_PX = 24, 30, 112, 30


def hops(result: Result) -> go.Figure:
    """Where the mean delivery spends its time, hop after hop, beside the published means."""
    chart, paths = go.Figure(), series.paths(result)
    labels: dict[float, str] = {}
    at = 0.0
    own = dict(zip(result.variants, COLOURS, strict=False))
    for path in paths:
        colour = PUBLISHED_COLOUR if path.published else own[path.name]
        chart.add_annotation(
            x=0,
            xref="paper",
            xanchor="left",
            xshift=8 - LABEL_PX,
            y=at,
            text=f"{path.name} <b>{figure(path.total if path.steps else None)}</b>",
            font={"size": 12.5},
            showarrow=False,
        )
        for step in path.steps:
            at += 1
            labels[at] = step.name
            chart.add_bar(
                x=[step.ms],
                y=[at],
                base=step.start,
                orientation="h",
                width=0.62,
                marker_color=colour,
                text=figure(step.ms),
                textposition="outside",
                textangle=0,
                cliponaxis=False,
                hovertemplate=f"{path.name}<br>{step.name}: {step.ms:.2f} ms<extra></extra>",
            )
        at += HEAD_PX / ROW_PX
    plain(chart, x="mean, ms").update_layout(
        barmode="overlay",
        showlegend=False,
        height=round(50 + ROW_PX * at),
        margin={"l": LABEL_PX, "r": 8, "t": 0, "b": 44},
        font={"size": 12.5},
    )
    # Room for the figure beside the longest bar, on a telephone too.
    end = max((path.total for path in paths), default=1)
    chart.update_xaxes(range=[0, end * 1.22], automargin=False)
    chart.update_yaxes(
        tickvals=list(labels),
        ticktext=list(labels.values()),
        range=[at - 0.6, -0.6],
        ticklabelstandoff=4,
        showgrid=False,
        automargin=False,
    )
    return chart


def arrival(result: Result) -> go.Figure:
    """The share of deliveries that had been applied so many milliseconds after the write."""
    chart = go.Figure()
    for (name, variant), colour in zip(result.variants.items(), COLOURS, strict=False):
        ordered = sorted(arrival.total for arrival in variant.arrivals)
        # Two hundred points draw the body; the last hundred deliveries are the tail, each a point of its own.
        count = len(ordered)
        ranks = sorted({*range(0, count, max(1, count // 200)), *range(max(0, count - 100), count)})
        chart.add_scatter(
            x=[ordered[rank] for rank in ranks],
            y=[100 * (rank + 1) / variant.expected for rank in ranks],
            name=name,
            mode="lines",
            line={"shape": "hv", "color": colour, "width": 2},
            hovertemplate="%{y:.1f} % within %{x} ms<extra>" + name + "</extra>",
        )
    chart.add_vline(x=DEADLINE_MS, line={"dash": "dot", "width": 1.5, "color": "#888"})
    # On a logarithmic axis a line is placed by its value, an annotation by the value's logarithm.
    chart.add_annotation(
        x=log10(DEADLINE_MS), y=50, text=DEADLINE, showarrow=False, xanchor="right", xshift=-4
    )
    totals = [one.total for variant in result.variants.values() for one in variant.arrivals]
    chart.update_xaxes(**logarithmic([*totals, DEADLINE_MS]))
    chart.update_yaxes(range=[0, 102])
    return plain(chart, x="ms after the write (logarithmic)", y="% applied")


def timeline(result: Result) -> go.Figure:
    """How long each write took to its last task, over the run; the warm-up and what went wrong are marked."""
    chart, first, drawn = go.Figure(), series.begin(result), [DEADLINE_MS]
    for (name, variant), colour in zip(result.variants.items(), COLOURS, strict=False):
        measured = series.moments(variant.arrivals, first)
        for of, symbol in ((series.warm_up(result, name), "circle-open"), (measured, "circle")):
            drawn += _logarithmic(of)
            told = f"{name}, warm-up" if symbol == "circle-open" else name
            chart.add_scatter(
                x=[one.at_s for one in of],
                y=_logarithmic(of),
                name=name,
                legendgroup=name,
                showlegend=symbol == "circle",
                mode="markers",
                marker={"color": colour, "size": 6, "symbol": symbol},
                hovertemplate="%{y} ms<extra>" + told + "</extra>",
            )
        again = [one for one in measured if one.again]
        lost = sorted({(loss.write.scheduled_at - first) / 1000 for loss in variant.lost})
        _mark(
            chart, f"{name}: received again", [one.at_s for one in again], _logarithmic(again), "circle-open"
        )
        _mark(chart, f"{name}: lost", lost, [DEADLINE_MS] * len(lost), "x")
    cold = [one for one in result.observation.invocations if one.cold]
    took = [max(1, round(one.ms)) for one in cold]
    drawn += took
    _mark(chart, "lambda: cold start", [(one.at - one.ms - first) / 1000 for one in cold], took, "star")
    failed = [(write.scheduled_at - first) / 1000 for write in result.failed]
    _mark(chart, "failed write", failed, [DEADLINE_MS] * len(failed), "triangle-down")
    if result.observation.warm_up:
        begun = min(write.scheduled_at for write in result.observation.warm_up)
        chart.add_vrect(
            x0=(begun - first) / 1000,
            x1=0,
            fillcolor=PUBLISHED_COLOUR,
            opacity=0.13,
            line_width=0,
            layer="below",
        )
    chart.add_hline(y=DEADLINE_MS, line={"dash": "dot", "width": 1.5, "color": "#888"})
    chart.add_annotation(
        x=1,
        xref="paper",
        xanchor="right",
        y=log10(DEADLINE_MS),
        yanchor="top",
        text=DEADLINE,
        showarrow=False,
    )
    chart.update_yaxes(**logarithmic(drawn))
    return plain(chart, x=SINCE, y="ms to the last task (logarithmic)")


def tasks(result: Result) -> go.Figure:
    """How late each task was at worst, over the run: a map for each variant, all in one scale."""
    maps = {name: series.heat(result, variant) for name, variant in result.variants.items()}
    each = max(48, 18 * len(result.observation.tasks))
    height = len(maps) * (each + TITLE_PX)
    chart = make_subplots(
        rows=len(maps), shared_xaxes=True, vertical_spacing=TITLE_PX / height, subplot_titles=list(maps)
    )
    for place, (name, of) in enumerate(maps.items(), 1):
        chart.add_heatmap(
            x=of.at_s,
            y=of.tasks,
            z=[[None if ms is None else log10(max(1, ms)) for ms in row] for row in of.worst],
            customdata=of.worst,
            coloraxis="coloraxis",
            ygap=1,
            hoverongaps=False,
            hovertemplate="%{y}, %{x:.1f} s: %{customdata} ms at worst<extra>" + name + "</extra>",
            row=place,
            col=1,
        )
        _mark_lost(chart, of, place)
    chart.update_annotations(x=0, xanchor="left", font_size=13)  # the titles
    plain(chart).update_layout(
        height=height + 50,
        margin={"t": 28},
        showlegend=False,
        coloraxis={"colorscale": "Cividis", "colorbar": _scale(list(maps.values()))},
    )
    chart.update_xaxes(showgrid=False, zeroline=False)
    chart.update_xaxes(title={"text": SINCE, "font": {"size": 13}}, row=len(maps), col=1)
    chart.update_yaxes(type="category", autorange="reversed", showgrid=False, tickfont={"size": 11})
    return chart


def logarithmic(values: Iterable[float]) -> dict[str, Any]:
    """An axis for values above zero, with no more ticks than a telephone has room for."""
    low, high = extent(values)
    ticks = [step * 10**power for power in range(7) for step in ((1, 2, 5) if high < 300 * low else (1,))]
    return {
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{tick:,}" for tick in ticks],
        "tickangle": 0,
        "ticklabelstandoff": 4,
        "tickfont": {"size": 11.5},
    }


def extent(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest that a logarithmic scale can show."""
    shown = [max(1.0, value) for value in values] or [1.0]
    return min(shown), max(shown)


def plain(figure: go.Figure, x: str = "", y: str = "") -> go.Figure:
    """The figure in the manner of all: no frame, no fill, no zoom; with titles of its axes."""
    return (
        figure.update_layout(
            template="none",
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            margin={"l": 8, "r": 28, "t": 8, "b": 8},
            legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
            font={"family": "system-ui, sans-serif", "size": 13},
            hoverlabel={"font": {"color": "#fff"}},
        )
        .update_xaxes(automargin=True, fixedrange=True, title={"text": x, "font": {"size": 13}})
        .update_yaxes(automargin=True, fixedrange=True, title={"text": y, "font": {"size": 13}})
    )


def _logarithmic(moments: Sequence[Moment]) -> list[int]:
    # A logarithmic axis has neither zero nor what clocks that disagree make of less.
    return [max(1, one.ms) for one in moments]


def _mark(chart: go.Figure, name: str, x: Sequence[float], y: Sequence[float], symbol: str) -> None:
    if x:
        chart.add_scatter(
            x=x,
            y=y,
            name=name,
            mode="markers",
            marker={
                "color": FAULT_COLOUR,
                "size": 11,
                "symbol": symbol,
                "line": {"width": 2, "color": FAULT_COLOUR},
            },
            hovertemplate=f"{name}<extra></extra>",
        )


def _mark_lost(chart: go.Figure, of: Heat, row: int) -> None:
    if of.lost:
        chart.add_scatter(
            x=[of.at_s[column] for column, _ in of.lost],
            y=[of.tasks[task] for _, task in of.lost],
            mode="markers",
            marker={"color": FAULT_COLOUR, "size": 8, "symbol": "x", "line": {"width": 0}},
            hovertemplate="%{y}, %{x:.1f} s: lost<extra></extra>",
            row=row,
            col=1,
        )


def _scale(maps: Sequence[Heat]) -> dict[str, Any]:
    """The scale of colours, whose ticks are milliseconds."""
    low, high = extent(ms for of in maps for row in of.worst for ms in row if ms is not None)
    ticks = [tick for tick in logarithmic([low, high])["tickvals"] if low <= tick <= high]
    if len(ticks) < 2:
        ticks = [low, high]
    return {
        "title": {"text": "ms", "font": {"size": 13}},
        "thickness": 10,
        "lenmode": "pixels",
        "len": 150,
        "y": 1,
        "yanchor": "top",
        "outlinewidth": 0,
        "tickvals": [log10(tick) for tick in ticks],
        "ticktext": [f"{tick:,.0f}" for tick in ticks],
    }
