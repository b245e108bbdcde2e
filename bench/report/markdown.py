"""`report.md`: a run in a few lines, for a pull request."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from bench.bootstrap import LEVEL
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
COLUMNS = ("mean", "p50", "p99", "max")
ENVIRONMENT = ("cloud", "region", "stack", "commit", "seed", "started", "clock_error")


def markdown(result: Result) -> str:
    """The headline, a table, what was lost, and where it was measured."""
    return "\n\n".join(_paragraphs(result)) + "\n"


def _paragraphs(result: Result) -> Iterator[str]:
    yield f"**{_text(headline(result))}**"
    yield from map(_text, filter(None, (result.caveat, *result.notes)))
    yield "Write → applied, milliseconds:"
    yield table(("", *COUNTS, *COLUMNS, f"p99, {LEVEL} %"), _rows(result))
    if burst := result.observation.burst:
        yield _text(knee(burst))
        yield table(STEP, steps(burst))
    if result.paired:
        yield _text(paired(result.paired))
    if result.costs:
        yield _text(priced(result.costs))
    if result.lost:
        yield table(("lost write", "item", "version", "task", "variant"), _lost(result))
        if len(result.lost) > LOSSES_SHOWN:
            yield f"… and {len(result.lost) - LOSSES_SHOWN:,} more, all in `summary.json`."
    if result.failed:
        rows = ((f"{one.number} {one.kind}", one.id, one.error or "") for one in result.failed[:LOSSES_SHOWN])
        yield table(("failed write", "item", "error"), rows)
        if len(result.failed) > LOSSES_SHOWN:
            yield f"… and {len(result.failed) - LOSSES_SHOWN:,} more, all in `summary.json`."
    of = result.observation.environment
    yield _text("; ".join(f"{name.replace('_', ' ')} {of[name]}" for name in ENVIRONMENT if name in of) + ".")


def _rows(result: Result) -> Iterator[Sequence[str]]:
    for name, variant in result.variants.items():
        took = variant.ms["write_to_applied"]
        ms = (figure(getattr(took, column)) for column in COLUMNS)
        yield name, *counts(variant), *ms, span(result.intervals[name]["write_to_applied"].get("p99"))
    for name in result.observation.aws_only:
        yield name, AWS_ONLY, *[""] * (len(COUNTS) + len(COLUMNS))


def _lost(result: Result) -> Iterator[Sequence[str]]:
    for loss in result.lost[:LOSSES_SHOWN]:
        of = loss.write
        yield f"{of.number} {of.kind}", of.id, str(of.version), loss.task.rsplit("/", 1)[-1], loss.forwarder


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(_text, line))} |" for line in lines)


def _text(of: str) -> str:
    """As it is, whatever others wrote: no markup, one line, one cell."""
    return escape(" ".join(of.split()), quote=False).replace("|", "\\|")
