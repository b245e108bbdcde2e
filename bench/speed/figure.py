"""A figure beside its target."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """What was measured. The median of `values` is to be at most, or at least, the target."""

    name: str
    values: Sequence[float]
    target: float
    at_least: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def met(self) -> bool:
        """Whether the target is."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def table_of(figures: Sequence[Figure]) -> Table:
    """Each median beside its target, and how far the repetitions were apart."""
    table = Table("figure", "target", "median", "from … to", "", box=box.SIMPLE_HEAD)
    for one in figures:
        low, high = min(one.values), max(one.values)
        table.add_row(
            one.name,
            f"{'≥' if one.at_least else '≤'} {one.target:,g}",
            f"{one.value:,.4g}",
            f"{low:,.4g} … {high:,.4g}",
            ("[green]met[/] " if one.met else "[red]missed[/] ") + one.note,
        )
    return table
