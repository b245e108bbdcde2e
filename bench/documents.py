"""The figures in the documents, from the model: `make costs` writes them, and a test says when they are old.

A document marks what is written: from `<!-- costs: NAME -->` to `<!-- end of costs -->`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.configuration import configuration
from bench.cost import model
from bench.cost.model import ARTICLE, HOURS, Demand, bill, by_part, poll_interval, scan_seconds, scan_units
from bench.cost.prices import DEFAULT_REGION, prices
from bench.scale.run import CHANGES, LEVERS, beyond, late, row
from bench.scale.run import TASKS as FLEETS
from bench.stack import PROJECT

MARKED = re.compile(r"(<!-- costs: (\w+) -->\n).*?(<!-- end of costs -->)", re.DOTALL)
DOCUMENTS = ("README.md", "docs/polling.md", "docs/scale.md")
ITEM_BYTES = ARTICLE.item_bytes
TASKS, SCALE_ITEMS = 20, 10_000
IDLE = replace(ARTICLE, changes=0)
BY_API = replace(ARTICLE, entry="appsync")
PRICES = prices(DEFAULT_REGION)


def written(text: str) -> str:
    """A document with its figures anew."""
    return MARKED.sub(lambda of: f"{of[1]}{TABLES[of[2]]()}\n{of[3]}", text)


def stacks() -> str:
    """What the stacks cost, by part."""
    both = configuration("lambda").having(variants=("lambda", "pipe"))
    bills = {
        "`dev`, 2 tasks, idle": bill(configuration("dev"), IDLE, PRICES),
        "`lambda`": bill(configuration("lambda"), BY_API, PRICES),
        "`pipe`": bill(configuration("pipe"), BY_API, PRICES),
        "`bus`": bill(configuration("bus"), BY_API, PRICES),
        "both": bill(both, BY_API, PRICES),
        "`poll`": bill(configuration("poll"), BY_API, PRICES),
    }
    rows = [
        [part, *("" if one is None else _usd(one) for one in usd)]
        for part, usd in by_part(list(bills.values())).items()
    ]
    return _table(["", *bills], [*rows, ["**all**", *(f"**{_usd(of.usd)}**" for of in bills.values())]])


def polling() -> str:
    """What a task that polls costs, by items, on a full core and on its quarter."""
    rows = list[list[str]]()
    for items in (13, 100, 10_000, 100_000):
        size = scan_units(Demand(changes=0, items=items, item_bytes=ITEM_BYTES), watermarks=False)
        for cpu in (1, model.VCPU) if poll_interval(items) > model.POLL_S else (model.VCPU,):
            every = poll_interval(items, cpu)
            month = PRICES.read.of(size * model.SECONDS / every)
            scan, fallback = scan_seconds(items, cpu), month * TASKS / HOURS
            took = f"{scan:.2g} s", f"{every:.3g} s", _usd(month), _usd(fallback)
            rows.append([f"{items:,}", _size(items * ITEM_BYTES), f"{size:,}", *took])
    head = [
        "items",
        "table",
        "units a scan",
        "scan takes",
        "interval",
        "a task-month",
        "20 tasks, an hour of fallback",
    ]
    return _table(head, rows)


def rescans() -> str:
    """What the rescans of a task cost."""
    every = configuration("lambda").rescan_seconds
    sizes = (100, 10_000, 100_000)
    of = [scan_units(Demand(changes=0, items=n, item_bytes=ITEM_BYTES), watermarks=True) for n in sizes]
    told = [
        f"${PRICES.read.of(size * model.SECONDS / every):.3f} for {n:,} items"
        for n, size in zip(sizes, of, strict=True)
    ]
    return (
        f"A rescan (`rescanSeconds: {every}`) is the same scan {model.SECONDS / every:,.0f} times a month. "
        f"A task-month is {', '.join(told)}. Raise it for a large table."
    )


def watching() -> str:
    """What watermarks add to an idle stack of 20 tasks."""

    def added(variants: tuple[str, ...], seconds: int | None = None) -> dict[str, float]:
        of = configuration("lambda").having(variants=variants)
        of = of.having(watermark_seconds=seconds or of.watermark_seconds)
        sums: dict[str, float] = {}
        for sign, watched in ((1, True), (-1, False)):
            for line in bill(of, IDLE, PRICES, watched=watched).lines:
                sums[line.what] = sums.get(line.what, 0) + sign * line.usd
        return {what: usd for what, usd in sums.items() if abs(usd) >= 0.005}

    both = ("lambda", "pipe")
    columns = [added(both), added(("lambda",)), added(("pipe",)), added(both, 60)]
    names = dict.fromkeys(what for column in columns for what in column)
    rows = [[what, *(_usd(column[what]) if what in column else "" for column in columns)] for what in names]
    sums = [sum(column.values()) for column in columns]
    head = ["", "both forwarders", "the Lambda", "the Pipe", "both, each minute"]
    total = ["**all**", *(f"**{_usd(of)}**" for of in sums)]
    return _table(head, [*rows, total, ["a task", *(_usd(of / TASKS) for of in sums)]])


def fleets() -> str:
    """Where the design stands at each size."""
    of = configuration("lambda")
    rows = [row("as it is", of, tasks, changes, SCALE_ITEMS) for tasks in FLEETS for changes in CHANGES]
    head = ["tasks", "changes a second", "write → applied, p50 / p99", "USD a month", "needed of the limits"]
    return _table(
        head,
        [[f"{one.tasks:,}", f"{one.changes:,}", late(one), f"${one.usd:,.0f}", beyond(one)] for one in rows],
    )


def levers() -> str:
    """What each lever does for the largest fleet."""
    of = configuration("lambda")
    rows = [row(name, of, FLEETS[-1], CHANGES[-1], SCALE_ITEMS) for name in LEVERS]
    head = ["", "write → applied, p50 / p99", "USD a month", "needed of the limits"]
    return _table(head, [[one.levers, late(one), f"${one.usd:,.0f}", beyond(one)] for one in rows])


TABLES: Mapping[str, Callable[[], str]] = {
    "stacks": stacks,
    "polling": polling,
    "rescans": rescans,
    "watching": watching,
    "fleets": fleets,
    "levers": levers,
}


def _usd(amount: float) -> str:
    return f"{'−' if amount < 0 else ''}${abs(amount):,.2f}"


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1000:,.0f} KB" if bytes_ < 1_000_000 else f"{bytes_ / 1_000_000:,.0f} MB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' + '---:|' * (len(head) - 1)}"
        for cells in rows:
            yield f"| {' | '.join(cells)} |"

    return "\n".join(lines())


def main() -> None:
    """Write all documents."""
    for name in DOCUMENTS:
        document: Path = PROJECT / name
        document.write_text(written(document.read_text()))


if __name__ == "__main__":
    main()
