"""Two forwarders on the very same writes: whose copy came first, how often, and by how much. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.bootstrap import Interval, intervals
from bench.deliveries import POLL
from bench.statistics import Arrival, Distribution, VariantResult, distribution


@dataclass(frozen=True, slots=True)
class Pairing:
    """Each write at each task that both variants delivered, by the hop that they do not share.

    `difference` is what `second` took less what `first` took, milliseconds: both are timed from the same
    write, so the writer's clock cancels out. `ahead` is by how much the one that came first did.
    """

    first: str
    second: str
    hop: str
    pairs: int
    tied: int
    ahead: dict[str, Distribution]
    difference: Distribution
    intervals: dict[str, Interval]

    def summary(self) -> dict[str, Any]:
        """`paired` of `summary.json`."""
        return asdict(self)


def pair(variants: Mapping[str, VariantResult], *, sns_clock: bool) -> Pairing | None:
    """The pairing of a run's two forwarders; None where there is one, or no write that both delivered.

    A queue takes either's copy behind what it holds, so where SNS's clock tells the forward hop, that is
    compared, and else the one up to the queue.
    """
    forwarders = [name for name in variants if name != POLL]
    if len(forwarders) != 2:  # a stream has no third reader
        return None
    hop = "forward" if sns_clock else "write_to_queue"
    first, second = (_took(variants[name].arrivals, hop) for name in forwarders)
    both = first.keys() & second.keys()
    if not both:
        return None
    by_write: defaultdict[int, list[int]] = defaultdict(list)
    for write, task in both:
        by_write[write].append(second[write, task] - first[write, task])
    differences = [each for of_write in by_write.values() for each in of_write]
    return Pairing(
        first=forwarders[0],
        second=forwarders[1],
        hop=hop,
        pairs=len(both),
        tied=differences.count(0),
        ahead={
            forwarders[0]: distribution(each for each in differences if each > 0),
            forwarders[1]: distribution(-each for each in differences if each < 0),
        },
        difference=distribution(differences),
        intervals=intervals([by_write[write] for write in sorted(by_write)]),
    )


def _took(arrivals: list[Arrival], hop: str) -> dict[tuple[int, str], int]:
    """What the hop took, by write and task."""
    return {
        (arrival.write.number, arrival.delivery.task): took
        for arrival in arrivals
        if (took := arrival.took(hop)) is not None
    }
