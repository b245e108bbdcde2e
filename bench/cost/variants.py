"""What the variants of a run cost a month, for its report."""

from dataclasses import dataclass, replace

from bench.configuration import configuration, defaults, file_of
from bench.cost.model import ARTICLE, Bill, Entry, bill
from bench.cost.prices import prices
from bench.stack import Stack


@dataclass(frozen=True)
class Costs:
    """A bill for each variant alone, and for all of a stack at once; `terms` says of what."""

    bills: tuple[Bill, ...]
    terms: str

    @property
    def usd(self) -> dict[str, float]:
        """By variant, and by all names where that is more."""
        return {one.name: one.usd for one in self.bills}


def costs(stack: Stack, tasks: int, entry: Entry) -> Costs:
    """The bills of a stack's variants at the article's rate, by its own settings on AWS.

    An emulator's stack is set to be watched, which would cost more: it is taken as one with the defaults.
    """
    own = stack.endpoint is None and file_of(stack.name).exists()
    of = configuration(stack.name) if own else defaults()
    of = of.having(region=stack.region, tasks_min=tasks, tasks_max=max(tasks, of.tasks_max))
    demand, listed = replace(ARTICLE, entry=entry), prices(stack.region)
    names = tuple(stack.outputs.variants)
    compared = [(name,) for name in names] + ([names] if len(names) > 1 else [])
    bills = tuple(bill(of.having(variants=variants), demand, listed) for variants in compared)
    regions = sorted({line.price.region for one in bills for line in one.lines})
    return Costs(
        bills,
        f"USD a month on AWS by list prices of {' and '.join(regions)}: {tasks} tasks, "
        f"{demand.changes * 3600:g} changes an hour, {demand.items} items of {demand.item_bytes} bytes, "
        f"entry {entry}, {f'the settings of {file_of(stack.name).name}' if own else 'default settings'}. "
        "The command bench cost tells it line by line.",
    )
