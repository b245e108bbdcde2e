"""Plans that have a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PresetName = Literal["article", "soak", "burst"]

BURST_STEP_S = 20
BURST_RATES = tuple(range(20, 201, 20))
"""Writes a second. A step of 20 s is 2 s behind at its end where the system is a tenth too slow for it."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many writes, one each `interval_s` seconds."""

    writes: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Preset:
    """A plan, and what it asks of the stack: how many tasks (None: any), or that it has one variant alone."""

    steps: Sequence[Step]
    tasks: int | None = None
    one_variant: bool = False

    def __str__(self) -> str:
        """What it does, in words."""
        if len(self.steps) == 1:
            return f"{self.steps[0].writes} writes, one each {self.steps[0].interval_s:g} s"
        return f"{len(self.steps)} steps of writes"


PRESETS: dict[PresetName, Preset] = {
    "article": Preset([Step(720, 5.0)], tasks=20),
    "soak": Preset([Step(3600, 1.0)]),
    "burst": Preset([Step(rate * BURST_STEP_S, 1 / rate) for rate in BURST_RATES], one_variant=True),
}
