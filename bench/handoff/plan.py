"""Which messages a run hands over: a pure function of its seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

KB = 1024
WARM_UP_ROUNDS = 2
"""By then each environment has opened its connections; the rest of what is cold is told apart anyway."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the plan: `number` counts from 0. The size of its payload in bytes, B's work on it."""

    number: int
    id: str
    way: str
    size: int
    work_ms: int


@dataclass(frozen=True)
class Preset:
    """What a run is made of, unless its options say otherwise."""

    sizes: Sequence[int]
    works_ms: Sequence[int]
    messages: int
    interval_s: float
    ways: Sequence[str] = ()  # none: all that the stack has
    note: str = ""

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Each size with each work."""
        return list(product(self.sizes, self.works_ms))


PRESETS = {
    "full": Preset(sizes=(1 * KB, 64 * KB, 240 * KB), works_ms=(0, 200), messages=20, interval_s=0.25),
    "epsagon": Preset(
        sizes=(1 * KB,),
        works_ms=(0,),
        messages=100,
        interval_s=0.25,
        ways=("synchronous", "asynchronous", "sns", "kinesis"),
        note="The article tells the four ways, in Python on boto3, and that it averaged two durations. It "
        "does not tell the payload's size, how many messages there were and how far apart, what B did, "
        "memory, region, or what became of cold starts: 1 KB, 100 messages a way, one message each 0.25 s, "
        "no work, and cold starts apart, are ours.",
    ),
}


def plan(
    rounds: int, ways: Sequence[str], cells: Sequence[tuple[int, int]], seed: int, prefix: str
) -> list[Message]:
    """In each round every way is gone once for every cell (size, work), the cells in an order of its own.

    The ways take turns, so that none meets its own last message and all meet the same hour.
    """
    random = Random(seed)
    turns = [cell for _ in range(rounds) for cell in random.sample(cells, len(cells))]
    return [
        Message(number, f"{prefix}{number:05d}", way, size, work_ms)
        for number, ((size, work_ms), way) in enumerate(product(turns, ways))
    ]
