"""`report.html`: one file, readable without a network."""

from collections.abc import Iterable, Sequence

from bench.bootstrap import STATISTICS
from bench.burst import Burst
from bench.cost.variants import Costs
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
    answer,
    counts,
    figure,
    headline,
    knee,
    paired,
    parts,
    side_by_side,
    steps,
    sure,
)
from bench.result import Result

LOSSES_SHOWN = 200
COLUMNS = ("mean", "p50", "p99", "max")
PATHS = "Means, one hop after the other. Grey: published, measured on AWS by others."
MOMENTS = "Each mark is a write. Hollow on grey: the warm-up, which meets cold starts and is not measured."
COLD = "A star: an invocation of the forwarder's function that began cold."
COLD_UNTOLD = "Which invocations began cold, an emulator does not tell."
HEAT = (
    "A row for each task, by its slot and the beginning of its id; the colour is its worst delivery of the "
    "period, the one that took the longest. Gaps: nothing was written then, or nothing came."
)


def page(result: Result) -> str:
    """The report of a run; the first sentence names the variants' prices where they are known."""
    caveat = result.caveat
    sections = (
        section("Deliveries", "", _deliveries(result)),
        section("Where the time goes", _remark(PATHS, caveat), chart("hops", charts.hops(result))),
        section("How soon", caveat, chart("arrival", charts.arrival(result))),
        section(
            "Over the run",
            _remark(MOMENTS, COLD_UNTOLD if caveat else COLD, caveat),
            chart("timeline", charts.timeline(result)),
        ),
        section("Task by task", _remark(HEAT, caveat), chart("tasks", charts.tasks(result))),
        section("Milliseconds", caveat, _milliseconds(result)),
        section("How sure", SURE, table(("", *STATISTICS), sure(result))),
        *([_burst(result.observation.burst, caveat)] if result.observation.burst else []),
        *([_side_by_side(result.paired, caveat)] if result.paired else []),
        *([_costs(result.costs)] if result.costs else []),
        section("Published figures", f"Measured on AWS, by others. {ARTICLE}.", _published()),
        section("Environment", "", table((), _environment(result), "prose")),
    )
    notes = (headline(result), *result.notes)
    return document(answer(result), caveat, notes, sections, passed=result.passed)


def _remark(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


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
    rows += [
        (f"function, {kind}: duration", *(figure(getattr(took, column)) for column in COLUMNS))
        for kind, took in result.function_ms.items()
    ]
    return table(("", *COLUMNS), rows)


def _side_by_side(of: Pairing, caveat: str) -> str:
    rows = side_by_side(of)
    return section(
        "Side by side", " ".join(filter(None, (paired(of), caveat))), table(("", *SIDE_BY_SIDE), rows)
    )


def _burst(of: Burst, caveat: str) -> str:
    return section("Knee", " ".join(filter(None, (knee(of), caveat))), table(STEP, steps(of)))


def _costs(of: Costs) -> str:
    return section("Price", of.terms, table(("", *of.usd), parts(of.bills)))


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
