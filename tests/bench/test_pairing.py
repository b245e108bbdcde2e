from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.pairing import Pairing, pair
from bench.report import page
from bench.report.wording import paired
from bench.statistics import join, measure
from tests.bench.synthetic import delivery, result, write


def pairing(after: dict[str, list[int]], *, sns_clock: bool = True) -> Pairing | None:
    """Of a run at one task whose deliveries were applied so many milliseconds after the writes."""
    writes = [write(number) for number in range(max(map(len, after.values())))]
    deliveries = [
        delivery(one, forwarder=name, after=ms)
        for name, each in after.items()
        for one, ms in zip(writes, each, strict=False)
    ]
    arrivals = join(writes, deliveries)
    rows = {name: measure(name, writes, ["task/0"], arrivals, sns_clock=sns_clock) for name in after}
    return pair(rows, sns_clock=sns_clock)


def test_who_came_first_how_often_and_by_how_much() -> None:
    got = pairing({"lambda": [100, 100, 100, 300], "pipe": [150, 700, 100, 200]})
    assert got
    assert (got.first, got.second, got.hop, got.pairs, got.tied) == ("lambda", "pipe", "forward", 4, 1)
    assert (got.ahead["lambda"].count, got.ahead["lambda"].p50, got.ahead["lambda"].max) == (2, 50, 600)
    assert (got.ahead["pipe"].count, got.ahead["pipe"].max) == (1, 100)
    assert (got.difference.mean, got.difference.p50, got.difference.max) == (137.5, 0, 600)


@settings(deadline=None, max_examples=30)  # each draws its resamples
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=8))
def test_each_pair_is_won_by_one_or_tied(after: list[tuple[int, int]]) -> None:
    got = pairing({"lambda": [one for one, _ in after], "pipe": [other for _, other in after]})
    assert got
    assert got.tied + sum(by.count for by in got.ahead.values()) == got.pairs == len(after)


def test_what_one_alone_delivered_is_no_pair() -> None:
    got = pairing({"lambda": [100] * 3, "pipe": [150]})
    assert got
    assert got.pairs == 1
    assert pairing({"lambda": [100] * 3, "pipe": []}) is None


def test_without_an_sns_clock_the_way_to_the_queue_is_compared() -> None:
    got = pairing({"lambda": [100] * 12, "pipe": [640] * 12}, sns_clock=False)
    assert got
    assert (got.hop, got.difference.p50, got.difference.count) == ("write_to_queue", 540, 12)


def test_a_queue_or_a_task_that_is_late_is_no_forwarder_s_fault() -> None:
    one = write(0)
    late = replace(delivery(one), applied_at=one.written_at + 5000, sqs_sent_at=one.written_at + 4000)
    got = result([one], [late, delivery(one, forwarder="pipe", after=200)]).paired
    assert got
    assert (got.hop, got.difference.p50) == ("forward", 100)


def test_the_writer_s_clock_cancels_out() -> None:
    one = write(0)
    deliveries = [delivery(one), delivery(one, forwarder="pipe", after=150)]
    fast = replace(one, written_at=one.written_at + 10_000)
    expected, got = result([one], deliveries).paired, result([fast], deliveries).paired
    assert expected
    assert got == expected
    assert expected.difference.p50 == 50


@pytest.mark.parametrize("sns_clock", [True, False])
def test_the_pairing_is_kept_and_shown(*, sns_clock: bool) -> None:
    writes = [write(number) for number in range(12)]
    deliveries = [
        delivery(one, name, by, 100 if by == "lambda" else 640)
        for one in writes
        for name in ("task/0", "task/1")
        for by in ("lambda", "pipe")
    ]
    if not sns_clock:
        deliveries = [replace(one, sns_at=one.sns_at // 1000 * 1000) for one in deliveries]
    got = result(writes, deliveries, tasks=2)
    kept = got.summary()["paired"]
    assert (kept["pairs"], kept["ahead"]["lambda"]["count"], kept["intervals"]["p50"]) == (24, 24, (540, 540))
    assert got.paired
    hop = "forward" if sns_clock else "write to queue"
    told = (
        f"On the very same writes, {hop}, 24 pairs: lambda first at 100.0 % (p50 by 540 ms), pipe at none; "
        "pipe − lambda p50 540 ms (95 %: 540 … 540)."
    )
    assert paired(got.paired) == told
    assert told in page(got)
    assert "<td>lambda first</td><td>24</td><td>100.0</td><td>540</td>" in page(got)
