"""Which fault strikes when: a pure function of the seed."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from bench.errors import ExperimentError

SETTLED_S = 2.0
"""Before the first fault."""
DRAWS = 20_000
PUSH_CUT, MALFORMED_MESSAGES = "push cut", "malformed messages"
ONE_CUT, THROWS = "one forwarder cut", "forwarder throws"

LANES: tuple[Mapping[str, float], ...] = (
    {PUSH_CUT: 40, ONE_CUT: 20, THROWS: 10, "Publish cut": 6},
    {
        "task killed": 8,
        "task paused": 16,
        "task restarted": 6,
        "service scaled": 16,
        "definition swapped": 12,
    },
    {
        "ReceiveMessage cut": 6,
        "SQS throttled": 5,
        "SQS fails": 5,
        "DynamoDB throttled": 6,
        "DynamoDB fails": 6,
        MALFORMED_MESSAGES: 0,
    },
)
"""Each fault and its seconds. Those of a lane strike one at a time, those of different lanes at once."""
NEEDS_PUSH = {"task killed", "ReceiveMessage cut", "SQS throttled", "SQS fails"}
"""They break what happens to messages, of which there are none while push is cut."""
FAULTS = tuple(fault for lane in LANES for fault in lane)


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault's place in the schedule, in seconds since the first write."""

    fault: str
    begin_s: float
    end_s: float

    def overlaps(self, other: "Strike") -> bool:
        """Whether both are on at some moment."""
        return self.begin_s < other.end_s and other.begin_s < self.end_s


def schedule(seed: int, seconds: float, chosen: Collection[str] = FAULTS) -> list[Strike]:
    """The chosen faults within `seconds`, by their beginning. Raises ExperimentError when they do not fit."""
    random = Random(seed)
    lanes = [[(fault, length) for fault, length in lane.items() if fault in chosen] for lane in LANES]
    slack = [seconds - SETTLED_S - sum(length for _, length in lane) for lane in lanes]
    for _ in range(DRAWS if min(slack) >= 0 else 0):
        strikes = [one for lane, room in zip(lanes, slack, strict=True) for one in _lay(lane, room, random)]
        if _makes_sense(strikes):
            return sorted(strikes, key=lambda strike: strike.begin_s)
    raise ExperimentError(f"{len(chosen)} faults do not fit into {seconds:g} s: give more, or choose fewer")


def _lay(lane: list[tuple[str, float]], room: float, random: Random) -> Iterable[Strike]:
    """The lane's faults in a random order, `room` spread before and between them."""
    gaps = sorted(random.uniform(0, room) for _ in lane)
    begin = SETTLED_S
    for gap, former, (fault, length) in zip(gaps, [0.0, *gaps], random.sample(lane, len(lane)), strict=False):
        begin = round(begin + gap - former, 1)
        yield Strike(fault, begin, begin + length)
        begin += length


def _makes_sense(strikes: Collection[Strike]) -> bool:
    cuts = [strike for strike in strikes if strike.fault == PUSH_CUT]
    return not any(cut.overlaps(strike) for cut in cuts for strike in strikes if strike.fault in NEEDS_PUSH)
