"""Sentences and figures, the same wherever they are printed."""

from bench.result import Result
from bench.statistics import VariantResult

AWS_ONLY = "AWS only"
COUNTS = ("expected", "delivered", "lost", "duplicates", "out of order")


def counts(variant: VariantResult) -> tuple[str, ...]:
    """A variant's `COUNTS`."""
    values = (
        variant.expected,
        variant.delivered,
        len(variant.lost),
        variant.duplicates,
        variant.out_of_order,
    )
    return tuple(f"{value:,}" for value in values)


def figure(value: float | None) -> str:
    """Milliseconds to read; – for what no clock could give."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def headline(result: Result) -> str:
    """The run in a sentence: what was lost, and how late each variant was at worst."""
    expected = sum(variant.expected for variant in result.variants.values())
    lost = len(result.lost)
    late = "; ".join(
        f"{name} p50 {figure(took.p50)} ms, at worst {figure(took.max)} ms"
        for name, took in ((name, row.ms["write_to_applied"]) for name, row in result.variants.items())
    )
    losses = f"{lost:,} of {expected:,} deliveries lost" if lost else f"all {expected:,} deliveries arrived"
    observed = result.observation
    hold = (
        "all hold what the table holds" if observed.converged else "they do NOT all hold what the table holds"
    )
    scale = f"{len(observed.writes)} writes, {len(observed.tasks)} tasks"
    return f"{scale}: {losses}, {hold}. Write → applied: {late}."
