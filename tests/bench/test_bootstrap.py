import numpy as np
import pytest

from bench.bootstrap import RESAMPLES, STATISTICS, interval, intervals, replicates
from bench.statistics import distribution


def drawn(writes: int, tasks: int, seed: int, within: float) -> list[list[float]]:
    """Writes from one normal distribution, mean 100; each at its tasks with a spread of `within`."""
    random = np.random.default_rng(seed)
    shared = random.normal(100, 10, size=writes)
    return [list(own + random.normal(0, within, size=tasks)) for own in shared]


def coverage(of: str, true: float, runs: int = 100) -> float:
    """How often an interval holds the true figure, when a write's deliveries are all but the same."""
    spans = (intervals(drawn(60, 20, seed, within=0.1))[of] for seed in range(runs))
    return sum(low <= true <= high for low, high in spans) / runs


def test_95_of_100_intervals_hold_the_mean_though_a_write_s_deliveries_are_alike() -> None:
    assert 0.89 <= coverage("mean", 100) <= 0.99


def test_drawn_by_delivery_it_would_be_few() -> None:
    spans = (intervals([[ms] for write in drawn(60, 20, seed, 0.1) for ms in write]) for seed in range(40))
    assert sum(low <= 100 <= high for low, high in (span["mean"] for span in spans)) / 40 < 0.6


def test_replicates_are_of_the_statistics_that_are_told() -> None:
    one = [[5.0, 1.0, 9.0]]
    rows = replicates(one * 3, np.random.default_rng(0))
    of = distribution(one[0] * 3)
    assert rows.shape == (RESAMPLES, len(STATISTICS))
    assert (rows == [of.mean, of.p50, of.p99]).all()


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 200])
def test_percentiles_are_by_nearest_rank(count: int) -> None:
    of = distribution(range(count))
    rows = replicates([list(range(count))] * 2, np.random.default_rng(0))
    assert set(rows[:, 1]) == {of.p50}
    assert set(rows[:, 2]) == {of.p99}


def test_writes_may_have_reached_different_numbers_of_tasks() -> None:
    rows = replicates([[0.0], [10.0] * 9], np.random.default_rng(0))
    assert set(rows[:, 0]) == {0.0, 9.0, 10.0}  # the writes drawn: the first twice, each, the second twice


def test_an_interval_holds_the_middle_95_of_100() -> None:
    assert interval(np.arange(1001)) == (25, 975)


def test_it_is_the_same_each_time() -> None:
    values = drawn(30, 4, 0, 5)
    assert intervals(values) == intervals(values)


def test_one_write_tells_nothing_of_how_writes_differ() -> None:
    assert intervals([[1.0, 2.0]]) == {}
