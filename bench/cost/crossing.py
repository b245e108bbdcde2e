"""Where polling and push cost the same. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench.configuration import Configuration
from bench.cost.model import Demand, bill
from bench.cost.prices import Prices
from bench.deliveries import POLL

MOST_TASKS, MOST_ITEMS, MOST_CHANGES = 10_000, 1_000_000, 3_600_000
"""As far as one looks; changes are an hour's."""
STEPS = 200


@dataclass(frozen=True)
class Crossing:
    """Along one axis, with all else as given: who is the cheaper at its least, and where that changes.

    `at` are the first values at which the other one is.
    """

    axis: str
    least: int
    most: int
    push_first: bool
    at: tuple[int, ...]

    def __str__(self) -> str:
        names = ("push", "polling") if self.push_first else ("polling", "push")
        told = f"by {self.axis}: {names[0]} is the cheaper from {self.least:,} on"
        for turn, at in enumerate(self.at, 1):
            told += f", {names[turn % 2]} from {at:,}"
        return told if self.at else f"{told}, to {self.most:,} and maybe beyond"


def crossings(of: Configuration, demand: Demand, prices: Prices) -> Iterator[Crossing]:
    """By tasks, by items and by changes; `of` pushes."""

    def dearer(of: Configuration, demand: Demand) -> bool:
        """Whether push is."""
        return bill(of, demand, prices).usd >= bill(of.having(variants=(POLL,)), demand, prices).usd

    yield crossing("tasks", 1, MOST_TASKS, lambda n: dearer(of.having(tasks_min=n, tasks_max=n), demand))
    yield crossing("items", 1, MOST_ITEMS, lambda n: dearer(of, replace(demand, items=n)))
    yield crossing(
        "changes an hour", 0, MOST_CHANGES, lambda n: dearer(of, replace(demand, changes=n / 3600))
    )


def crossing(axis: str, least: int, most: int, push_is_dearer: Callable[[int], bool]) -> Crossing:
    """Look at steps that grow by the same ratio, and halve those in which the answer changes."""
    steps = sorted(
        {least, *(round(max(least, 1) * (most / max(least, 1)) ** (n / STEPS)) for n in range(STEPS + 1))}
    )
    answers = [push_is_dearer(step) for step in steps]
    at: list[int] = []
    for low, high, before, after in zip(steps, steps[1:], answers, answers[1:], strict=False):
        if before != after:
            at.append(_first(low, high, lambda n, after=after: push_is_dearer(n) == after))
    return Crossing(axis, least, most, not answers[0], tuple(at))


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first above `low` at which something holds that holds at `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
