"""`report.html`: one file, readable without a network."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from bench.published import ARTICLE, PUBLISHED
from bench.report import charts
from bench.report.wording import AWS_ONLY, COUNTS, counts, figure, headline
from bench.result import Result

HERE = Path(__file__).parent
LOSSES_SHOWN = 200
COLUMNS = ("mean", "p50", "p99", "max")


def page(result: Result) -> str:
    """The report of a run."""
    caveat = result.caveat
    sections = (
        _section("Deliveries", "", _deliveries(result)),
        _section("Milliseconds", caveat, _milliseconds(result)),
        _section("Where the time goes", caveat, _chart("hops", charts.hops(result))),
        _section("How soon", caveat, _chart("arrival", charts.arrival(result))),
        _section("Over the run", caveat, _chart("timeline", charts.timeline(result))),
        _section("Published figures", f"Measured on AWS, by others. {ARTICLE}.", _published()),
        _section("Environment", "", _table((), _environment(result), "prose")),
    )
    return Template((HERE / "page.html").read_text()).substitute(
        style=(HERE / "page.css").read_text(),
        plotly=get_plotlyjs(),
        headline=escape(headline(result)),
        verdict="passed" if result.passed else "failed",
        notes="".join(_note(note) for note in (caveat, *result.notes) if note),
        sections="".join(sections),
    )


def _deliveries(result: Result) -> str:
    columns = [counts(variant) for variant in result.variants.values()]
    elsewhere = result.observation.aws_only
    columns += [(AWS_ONLY, *[""] * (len(COUNTS) - 1)) for _ in elsewhere]
    tables = [_table(("", *result.variants, *elsewhere), zip(COUNTS, *columns, strict=True))]
    if result.lost:
        named = (
            (
                f"{loss.write.number} {loss.write.kind}",
                loss.write.id,
                loss.task.rsplit("/", 1)[-1],
                loss.forwarder,
            )
            for loss in result.lost[:LOSSES_SHOWN]
        )
        tables.append(_table(("lost write", "item", "task", "variant"), named, "prose"))
    if result.failed:
        named = ((f"{write.number} {write.kind}", write.id, write.error or "") for write in result.failed)
        tables.append(_table(("failed write", "item", "error"), named, "prose"))
    return "".join(tables)


def _milliseconds(result: Result) -> str:
    rows = [
        (f"{name}: {hop.replace('_', ' ')}", *(figure(getattr(took, column)) for column in COLUMNS))
        for name, variant in result.variants.items()
        for hop, took in variant.ms.items()
    ]
    rows += [
        (
            f"entry {result.observation.entry}: {hop.replace('_', ' ')}",
            *(figure(getattr(took, column)) for column in COLUMNS),
        )
        for hop, took in result.entry_ms.items()
    ]
    return _table(("", *COLUMNS), rows)


def _published() -> str:
    rows = ((one.name, *(figure(value) for value in (one.mean, one.p50, one.p99))) for one in PUBLISHED)
    return _table(("", "mean", "p50", "p99"), rows)


def _environment(result: Result) -> Iterable[Sequence[str]]:
    for name, value in result.observation.environment.items():
        shown = ", ".join(f"{part} {of}" for part, of in value.items()) if isinstance(value, dict) else value
        yield name.replace("_", " "), str(shown)
    yield "interval", f"{result.observation.interval_s} s"
    yield "late writes", f"p50 {figure(result.lateness.p50)} ms, at worst {figure(result.lateness.max)} ms"
    yield "warm-up (not measured)", ", ".join(f"{count} {name}" for name, count in result.warm_up.items())


def _section(title: str, note: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{_note(note) if note else ''}{content}</section>"


def _note(text: str) -> str:
    return f"<p class=note>{escape(text)}</p>"


def _chart(name: str, chart: go.Figure) -> str:
    return chart.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displayModeBar": False, "responsive": True},
        default_height=f"{chart.layout.height or 380}px",  # pyright: ignore[reportAttributeAccessIssue]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table class={kind}>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"
