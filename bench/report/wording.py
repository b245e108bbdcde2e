"""Sentences and figures, the same wherever they are printed."""

from collections.abc import Iterator, Sequence

from bench.bootstrap import LEVEL, STATISTICS, Interval
from bench.burst import DEADLINE_MS, Burst
from bench.cost.model import Bill, by_part
from bench.cost.variants import Costs
from bench.pairing import Pairing
from bench.result import Result
from bench.statistics import VariantResult

AWS_ONLY = "AWS only"
DEADLINE = f"{DEADLINE_MS // 1000} s"
SURE = f"{LEVEL} % intervals by bootstrap, drawn by write. None reaches past the worst that was seen."
STEP = ("writes/s", "taken", "p50", "p99", "writer late p99", "lost", "failed")
SIDE_BY_SIDE = ("pairs", "%", "p50", "p99", "max")
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


def failures(failed: int, of: int, what: str) -> str:
    """How many were not taken; empty where all were."""
    return f"{failed:,} of {of:,} {what} failed" if failed else ""


def answer(result: Result) -> str:
    """Which variant, at what price, how late at worst, and which writes failed.

    An emulator's lateness is called so.
    """
    emulated = bool(result.caveat)

    def told(name: str) -> str:
        month = "a month on AWS" if emulated else "a month"
        price = f" for ${result.costs.usd[name]:,.2f} {month}" if result.costs else ""
        return f"{name}{price}, {figure(worst[name])} ms"

    lossy = [f"{name} lost {len(row.lost):,}" for name, row in result.variants.items() if row.lost]
    losses = f"; {', '.join(lossy)}" if lossy else ""
    failed = failures(len(result.failed), len(result.observation.writes), "writes")
    failed = f" {failed}." if failed else ""
    worst = {
        name: row.ms["write_to_applied"].max or 0
        for name, row in result.variants.items()
        if row.delivered and not row.lost
    }
    if not worst:
        return f"No variant brought every write to every task{losses}.{failed}"
    best, *others = sorted(worst, key=worst.__getitem__)
    rest = f"; {', '.join(map(told, others))}" if others else ""
    least = "least late at worst: " if others or lossy else "at worst: "
    least = f"On an emulator, {least}" if emulated else least.capitalize()
    late = "" if worst[best] < DEADLINE_MS else f" The {DEADLINE} that are asked for were missed."
    return f"{least}{told(best)} from a write to its last task{rest}{losses}.{late}{failed}"


def span(of: Interval | None) -> str:
    """An interval to read."""
    return "–" if of is None else " … ".join(f"{end:,.{abs(end) < 100:d}f}" for end in of)


def sure(result: Result) -> Iterator[tuple[str, ...]]:
    """A row for each variant's hop: the intervals of its `STATISTICS`."""
    for name, hops in result.intervals.items():
        for hop, of in hops.items():
            if of:
                yield f"{name}: {hop.replace('_', ' ')}", *(span(of[statistic]) for statistic in STATISTICS)


def paired(of: Pairing) -> str:
    """The pairing in a sentence."""
    first = ", ".join(
        f"{name} first at {100 * by.count / of.pairs:.1f} % (p50 by {figure(by.p50)} ms)"
        if by.count
        else f"{name} at none"
        for name, by in of.ahead.items()
    )
    return (
        f"On the very same writes, {of.hop.replace('_', ' ')}, {of.pairs:,} pairs: {first}; {of.second} − "
        f"{of.first} p50 {figure(of.difference.p50)} ms ({LEVEL} %: {span(of.intervals.get('p50'))})."
    )


def side_by_side(of: Pairing) -> Iterator[tuple[str, ...]]:
    """A row for each that came first, with how often and by how much, and for both at once."""
    for name, by in of.ahead.items():
        ms = (figure(value) for value in (by.p50, by.p99, by.max))
        yield f"{name} first", f"{by.count:,}", f"{100 * by.count / of.pairs:.1f}", *ms
    yield "at once", f"{of.tied:,}", f"{100 * of.tied / of.pairs:.1f}", "", "", ""


def knee(of: Burst) -> str:
    """Where the variant leaves its deadline, in a sentence."""
    last = of.steps[-1]
    held = f"{of.variant} holds {of.knee:g} writes/s" if of.knee else f"{of.variant} holds no step"
    p99 = figure(last.write_to_applied.p99)
    why = {
        None: f"the last step (p99 {p99} ms): the knee is beyond",
        "late": f"at {last.rate:g}/s p99 is {p99} ms, over {DEADLINE_MS:,} ms",
        "lost": f"at {last.rate:g}/s it lost {last.lost:,} deliveries",
        "entry": f"at {last.rate:g}/s the entry took {last.achieved:g}/s alone (p99 {p99} ms), so that step "
        f"tells nothing of {of.variant}'s own limit",
    }
    return f"{held}; {why[last.ended_by]}."


def steps(of: Burst) -> Iterator[tuple[str, ...]]:
    """A row of `STEP` for each step."""
    for step in of.steps:
        took = step.write_to_applied
        ms = (figure(value) for value in (took.p50, took.p99, step.lateness_p99))
        yield f"{step.rate:g}", f"{step.achieved:g}", *ms, f"{step.lost:,}", f"{step.failed:,}"


def priced(of: Costs) -> str:
    """What each variant costs, in a sentence, and on which terms."""
    usd = ", ".join(f"{name} {usd:,.2f}" for name, usd in of.usd.items())
    return f"{usd} {of.terms}"


def parts(bills: Sequence[Bill]) -> Iterator[tuple[str, ...]]:
    """A row for each part of the bills, and their sums."""
    for part, usd in by_part(bills).items():
        yield part, *("–" if one is None else f"{one:,.2f}" for one in usd)
    yield "all", *(f"{one.usd:,.2f}" for one in bills)


def headline(result: Result) -> str:
    """The run in a sentence: what failed, what was lost, and how late each variant was at worst."""
    expected = sum(variant.expected for variant in result.variants.values())
    lost = len(result.lost)
    late = "; ".join(
        f"{name} p50 {figure(took.p50)} ms, at worst {figure(took.max)} ms"
        for name, took in ((name, row.ms["write_to_applied"]) for name, row in result.variants.items())
    )
    losses = f"{lost:,} of {expected:,} deliveries lost" if lost else f"all {expected:,} deliveries arrived"
    observed = result.observation
    failed = failures(len(result.failed), len(observed.writes), "writes")
    hold = (
        "all hold what the table holds" if observed.converged else "they do NOT all hold what the table holds"
    )
    scale = f"{len(observed.writes)} writes, {len(observed.tasks)} tasks"
    return f"{scale}: {', '.join(filter(None, (failed, losses, hold)))}. Write → applied: {late}."
