"""`bench rows`: the results of several runs and hand-offs as the rows of one table."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console

from bench.environment import caveat, stamp
from bench.errors import ExperimentError
from bench.published import HANDOFFS, PUBLISHED
from bench.report.handoff import kilobytes
from bench.report.markdown import table
from bench.report.terminal import table_of
from bench.report.wording import AWS_ONLY
from bench.result import RESULTS, folder_of

COLUMNS = ("where", "came", "lost", "mean", "p50", "p99", "worst", "A's p50")
UNITS = (
    "Milliseconds: of a variant from a write to a task that applied it, of a hand-off from A's call to B, "
    "which then works for so long. A's: for how long A was at it."
)


class Row(NamedTuple):
    """One variant, or one way of the hand-off, by what it was asked."""

    name: str
    where: str = "AWS"  # or local, on an emulator, whose figures are not AWS's
    came: str = ""
    lost: str = ""
    mean: str = ""
    p50: str = ""
    p99: str = ""
    worst: str = ""
    operation: str = ""


def rows(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Results of `bench run` and `bench handoff`.")
    ],
) -> None:
    """Set the results of several runs and hand-offs side by side, a row for each variant or way."""
    console, began = Console(), datetime.now(UTC)
    summaries = [_summary(folder) for folder in folders]
    told = [row for summary in summaries for row in rows_of(summary)] + list(published())
    notes = [UNITS, *sorted({caveat(summary["environment"]) for summary in summaries} - {""})]
    printed = table_of("", COLUMNS)
    for row in told:
        printed.add_row(*row)
    console.print(printed)
    for note in notes:
        console.print(note, style="dim", highlight=False)
    with folder_of(stamp(began), RESULTS) as folder:
        path = folder / "rows.md"
        path.write_text("\n\n".join([*notes, table(("", *COLUMNS), told)]) + "\n")
    console.print(f"Rows: {path}", soft_wrap=True)


def rows_of(summary: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a `summary.json`."""
    where = "local" if caveat(summary["environment"]) else "AWS"
    if "variants" in summary:
        of = f"{summary['writes']:,} × {summary['tasks']}, {_pace(summary)}, by {summary['entry']}"
        for name, variant in summary["variants"].items():
            yield _row(f"{name}: {of}", where, variant, variant["ms"]["write_to_applied"])
        for name in summary["aws_only"]:
            yield Row(f"{name}: {AWS_ONLY}")
        return
    for cell in summary["warm"]:
        of = f"{kilobytes(cell['size'])}, B {cell['work_ms']} ms, {_pace(summary)}"
        yield _row(f"{cell['way']}: {of}", where, cell, cell["delivery"], cell["operation"])
    for cell in summary["cold"]:
        yield _row(f"{cell['way']}: B starts cold", where, cell, cell["delivery"], cell["operation"])


def published() -> Iterator[Row]:
    """What others measured on AWS."""
    for one in (*PUBLISHED, *HANDOFFS):
        known = {name: _ms(getattr(one, name)) for name in ("mean", "p50", "p99") if getattr(one, name)}
        yield Row(f"published: {one.name}", **known)


def _pace(summary: Mapping[str, Any]) -> str:
    if burst := summary.get("burst"):
        return f"a burst to {burst['steps'][-1]['rate']:g}/s"
    return f"each {summary['interval_s']:g} s"


def _row(
    name: str,
    where: str,
    counts: Mapping[str, int],
    took: Mapping[str, float | None],
    operation: Mapping[str, float | None] | None = None,
) -> Row:
    return Row(
        name,
        where,
        came=f"{counts['delivered']:,}",
        lost=f"{counts['lost']:,}",
        mean=_ms(took["mean"]),
        p50=_ms(took["p50"]),
        p99=_ms(took["p99"]),
        worst=_ms(took["max"]),
        operation=_ms(operation["p50"]) if operation else "",
    )


def _ms(of: float | None) -> str:
    return "–" if of is None else f"{of:,.{1 if of < 10 else 0}f}"


def _summary(folder: Path) -> Mapping[str, Any]:
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError) as problem:
        raise ExperimentError(f"{folder} holds no result: {problem}") from None
    if not ("variants" in summary or summary.keys() >= {"warm", "cold"}):
        raise ExperimentError(f"{folder} is of another experiment: give results of `run` and `handoff`")
    return summary
