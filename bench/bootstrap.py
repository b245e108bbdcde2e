"""How sure a figure is: percentile bootstrap, drawn by write. Pure, and the same each time.

A write is drawn with all its deliveries. They share the write's way to the topic, so they are no independent
measurements: drawn one by one, those at 20 tasks make an interval up to four times too narrow.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

STATISTICS = ("mean", "p50", "p99")
RESAMPLES = 1000
LEVEL = 95
"""Per cent of the intervals that hold what they estimate, if writes are independent of each other."""
SEED = 1

Interval = tuple[float, float]
Replicates = npt.NDArray[np.float64]


def replicates(by_write: Sequence[Sequence[float]], random: np.random.Generator) -> Replicates:
    """`RESAMPLES` rows of `STATISTICS`, each of as many writes, drawn with replacement.

    Percentiles are by nearest rank, as in `statistics`. No write may be without a value.
    """
    writes = len(by_write)
    values = np.concatenate([np.asarray(each, dtype=np.float64) for each in by_write])
    owners = np.repeat(np.arange(writes), [len(each) for each in by_write])
    order = np.argsort(values)
    values, owners = values[order], owners[order]
    rows = np.empty((RESAMPLES, len(STATISTICS)))
    for row in rows:
        weights = np.bincount(random.integers(writes, size=writes), minlength=writes)[owners]
        reached = np.cumsum(weights)
        ranks = -(-reached[-1] * np.array((50, 99)) // 100)
        row[0] = (values * weights).sum() / reached[-1]
        row[1:] = values[np.searchsorted(reached, ranks)]
    return rows


def interval(of: npt.NDArray[Any]) -> Interval:
    """The interval of `LEVEL` per cent that a statistic's replicates span."""
    low, high = np.percentile(of, ((100 - LEVEL) / 2, (100 + LEVEL) / 2))
    return round(float(low), 2), round(float(high), 2)


def intervals(by_write: Sequence[Sequence[float]]) -> dict[str, Interval]:
    """The interval of each of `STATISTICS`; none of fewer than two writes."""
    if len(by_write) < 2:
        return {}
    rows = replicates(by_write, np.random.default_rng(SEED))
    return dict(zip(STATISTICS, map(interval, rows.T), strict=True))
