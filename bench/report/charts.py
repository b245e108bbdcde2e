"""The charts, as plotly figures. Colours of text and lines come from the page's style, light or dark."""

from math import log10
from textwrap import wrap

import plotly.graph_objects as go

from bench.published import PUBLISHED
from bench.result import Result
from bench.statistics import VariantResult

COLOURS = ("#3987d6", "#e07b39", "#2fa37c", "#a66fd0", "#c9a227")
"""Told apart in light and dark, and by the colour-blind."""
PUBLISHED_COLOURS = ("#7d8894", "#98a2ad", "#b3bcc5")
DEADLINE_MS = 2000
"""What the article asks of a change: at every task in under two seconds."""
LOGARITHMIC_TICKS = [step * 10**power for power in range(6) for step in (1, 2, 5)]


def hops(result: Result) -> go.Figure:
    """Where the mean delivery spends its time, beside the published means."""
    bars = [(name, _mean_hops(variant), COLOURS) for name, variant in result.variants.items()]
    bars += [(one.name, one.parts, PUBLISHED_COLOURS) for one in PUBLISHED if one.parts]
    figure = go.Figure()
    for name, parts, colours in reversed(bars):
        label, end = "<br>".join(wrap(name, 16)), 0.0
        for (part, mean), colour in zip(parts.items(), colours, strict=False):
            figure.add_bar(
                x=[mean],
                y=[label],
                base=end,
                orientation="h",
                width=0.6,
                marker_color=colour,
                text=part,
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                hovertemplate=f"{part}: {mean:.2f} ms<extra></extra>",
            )
            end += mean
        figure.add_annotation(
            x=end, y=label, text=f"<b>{end:.0f}</b>", showarrow=False, xanchor="left", xshift=4
        )
    figure.update_layout(
        barmode="overlay",
        showlegend=False,
        height=70 + 62 * len(bars),
        uniformtext={"mode": "hide", "minsize": 11},
    )
    figure.update_xaxes(title="mean, ms", rangemode="tozero")
    return plain(figure)


def arrival(result: Result) -> go.Figure:
    """The share of deliveries that had been applied so many milliseconds after the write."""
    figure = go.Figure()
    for (name, variant), colour in zip(result.variants.items(), COLOURS, strict=False):
        ordered = sorted(arrival.total for arrival in variant.arrivals)
        # Two hundred points draw the body; the last hundred deliveries are the tail, each a point of its own.
        count = len(ordered)
        ranks = sorted({*range(0, count, max(1, count // 200)), *range(max(0, count - 100), count)})
        figure.add_scatter(
            x=[ordered[rank] for rank in ranks],
            y=[100 * (rank + 1) / count for rank in ranks],
            name=name,
            mode="lines",
            line={"shape": "hv", "color": colour, "width": 2},
            hovertemplate="%{y:.1f} % within %{x} ms<extra>" + name + "</extra>",
        )
    figure.add_vline(x=DEADLINE_MS, line={"dash": "dot", "width": 1.5, "color": "#888"})
    # On a logarithmic axis a line is placed by its value, an annotation by the value's logarithm.
    figure.add_annotation(x=log10(DEADLINE_MS), y=50, text="2 s", showarrow=False, xanchor="right", xshift=-4)
    figure.update_xaxes(title="ms after the write (logarithmic)", type="log", tickvals=LOGARITHMIC_TICKS)
    figure.update_yaxes(title="% applied", range=[0, 102])
    return plain(figure)


def timeline(result: Result) -> go.Figure:
    """How long each write took to its last task, over the run."""
    figure = go.Figure()
    begin = min((write.scheduled_at for write in result.observation.writes), default=0)
    for (name, variant), colour in zip(result.variants.items(), COLOURS, strict=False):
        last: dict[int, int] = {}
        for one in variant.arrivals:
            at = one.write.scheduled_at - begin
            last[at] = max(last.get(at, 0), one.total)
        figure.add_scatter(
            x=[at / 1000 for at in last],
            y=list(last.values()),
            name=name,
            mode="markers",
            marker={"color": colour, "size": 5},
            hovertemplate="%{y} ms<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="s since the first write", rangemode="tozero")
    figure.update_yaxes(title="write → applied at the last task, ms", rangemode="tozero")
    return plain(figure)


def _mean_hops(variant: VariantResult) -> dict[str, float]:
    names = ("forward", "sns", "sqs", "apply")
    if variant.ms["forward"].mean is None:
        names = ("write_to_queue", "sqs", "apply")
    if variant.ms["apply"].mean is None:  # a poll has no queue
        names = ("write_to_applied",)
    means = {name: variant.ms[name].mean for name in names}
    return {name.replace("_", " "): mean for name, mean in means.items() if mean is not None}


def plain(figure: go.Figure) -> go.Figure:
    """The figure in the manner of all: no frame, no fill, no zoom."""
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
        .update_xaxes(automargin=True, fixedrange=True)
        .update_yaxes(automargin=True, fixedrange=True)
    )
