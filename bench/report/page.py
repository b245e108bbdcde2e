"""`report.html`: one file, readable without a network."""

from collections.abc import Iterable, Sequence

from bench.bootstrap import STATISTICS
from bench.burst import Burst
from bench.pairing import Pairing
from bench.published import ARTICLE, PUBLISHED
from bench.report import charts
from bench.report.markup import chart, document, facts, section, table
from bench.report.wording import (
    AWS_ONLY,
    COUNTS,
    SIDE_BY_SIDE,
    STEP,
    SURE,
    counts,
    figure,
    headline,
    knee,
    paired,
    side_by_side,
    steps,
    sure,
)
from bench.result import Result

LOSSES_SHOWN = 200
COLUMNS = ("mean", "p50", "p99", "max")


def page(result: Result) -> str:
    """The report of a run."""
    caveat = result.caveat
    sections = (
        section("Deliveries", "", _deliveries(result)),
        section("Milliseconds", caveat, _milliseconds(result)),
        section("How sure", SURE, table(("", *STATISTICS), sure(result))),
        *([_burst(result.observation.burst, caveat)] if result.observation.burst else []),
        *([_side_by_side(result.paired, caveat)] if result.paired else []),
        section("Where the time goes", caveat, chart("hops", charts.hops(result))),
        section("How soon", caveat, chart("arrival", charts.arrival(result))),
        section("Over the run", caveat, chart("timeline", charts.timeline(result))),
        section("Published figures", f"Measured on AWS, by others. {ARTICLE}.", _published()),
        section("Environment", "", table((), _environment(result), "prose")),
    )
    return document(headline(result), caveat, result.notes, sections, passed=result.passed)


def _deliveries(result: Result) -> str:
    columns = [counts(variant) for variant in result.variants.values()]
    elsewhere = result.observation.aws_only
    columns += [(AWS_ONLY, *[""] * (len(COUNTS) - 1)) for _ in elsewhere]
    tables = [table(("", *result.variants, *elsewhere), zip(COUNTS, *columns, strict=True))]
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
        tables.append(table(("lost write", "item", "task", "variant"), named, "prose"))
    if result.failed:
        named = ((f"{write.number} {write.kind}", write.id, write.error or "") for write in result.failed)
        tables.append(table(("failed write", "item", "error"), named, "prose"))
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
    return table(("", *COLUMNS), rows)


def _side_by_side(of: Pairing, caveat: str) -> str:
    rows = side_by_side(of)
    return section(
        "Side by side", " ".join(filter(None, (paired(of), caveat))), table(("", *SIDE_BY_SIDE), rows)
    )


def _burst(of: Burst, caveat: str) -> str:
    return section("Knee", " ".join(filter(None, (knee(of), caveat))), table(STEP, steps(of)))


def _published() -> str:
    rows = ((one.name, *(figure(value) for value in (one.mean, one.p50, one.p99))) for one in PUBLISHED)
    return table(("", "mean", "p50", "p99"), rows)


def _environment(result: Result) -> Iterable[Sequence[str]]:
    yield from facts(result.observation.environment)
    yield "preset", result.observation.preset or "none"
    if result.observation.interval_s:
        yield "interval", f"{result.observation.interval_s} s"
    yield "late writes", f"p50 {figure(result.lateness.p50)} ms, at worst {figure(result.lateness.max)} ms"
    yield "warm-up (not measured)", ", ".join(f"{count} {name}" for name, count in result.warm_up.items())
