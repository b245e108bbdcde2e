"""Which writes a run makes: a pure function of its seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal["update", "insert", "delete"]

MIX: dict[Kind, int] = {"update": 7, "insert": 2, "delete": 1}
"""What each ten writes are, in a shuffled order: a short run has its deletes too."""
KEYS = 10
"""Items that exist before the first measured write."""
SPACING = 4
"""A key rests for this many writes, so that two writes to it are seldom in flight at once."""


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """One write of the plan: `number` counts from 0 and is its place in the schedule."""

    number: int
    kind: Kind
    id: str


def seeds(prefix: str) -> list[PlannedWrite]:
    """The inserts that come before the measurement."""
    return [PlannedWrite(number, "insert", f"{prefix}{number:05d}") for number in range(KEYS)]


def plan(count: int, seed: int, prefix: str) -> list[PlannedWrite]:
    """`count` writes on top of `seeds(prefix)`; every second insert recreates a deleted key, if any."""
    random = Random(seed)
    live = [write.id for write in seeds(prefix)]  # by last touch, the oldest first
    deleted: list[str] = []
    inserts = 0
    writes: list[PlannedWrite] = []
    for number, kind in zip(range(count), _kinds(random), strict=False):
        if kind == "insert":
            inserts += 1
            rested = deleted[:1] if inserts % 2 == 0 else []
            key = deleted.pop(0) if rested else f"{prefix}{KEYS + number:05d}"
        else:
            key = live.pop(random.randrange(max(1, len(live) - SPACING)))
        (deleted if kind == "delete" else live).append(key)
        writes.append(PlannedWrite(number, kind, key))
    return writes


def _kinds(random: Random) -> Iterator[Kind]:
    while True:
        yield from random.sample(list[Kind](MIX), counts=MIX.values(), k=sum(MIX.values()))
