"""What pages are made of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

HERE = Path(__file__).parent


def document(
    headline: str, caveat: str, notes: Iterable[str], sections: Iterable[str], *, passed: bool
) -> str:
    """The page: a sentence, the notes, the sections."""
    return Template((HERE / "page.html").read_text()).substitute(
        style=(HERE / "page.css").read_text(),
        plotly=get_plotlyjs(),
        headline=escape(headline),
        verdict="passed" if passed else "failed",
        notes="".join(note(each) for each in (caveat, *notes) if each),
        sections="".join(sections),
    )


def section(title: str, remark: str, content: str) -> str:
    """A title with a remark, which may be empty, and what it is the title of."""
    return f"<section><h2>{escape(title)}</h2>{note(remark) if remark else ''}{content}</section>"


def note(text: str) -> str:
    """A remark in small."""
    return f"<p class=note>{escape(text)}</p>"


def chart(name: str, figure: go.Figure) -> str:
    """A chart that is as wide as the page."""
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displayModeBar": False, "responsive": True},
        default_height=f"{figure.layout.height or 380}px",  # pyright: ignore[reportAttributeAccessIssue]
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    """A table of figures, or of `prose`."""

    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table class={kind}>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"


def facts(environment: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """The rows of a table of where a run took place."""
    for name, value in environment.items():
        shown = ", ".join(f"{part} {of}" for part, of in value.items()) if isinstance(value, dict) else value
        yield name.replace("_", " "), str(shown)
