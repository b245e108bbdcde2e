from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.deliveries import Delivery
from bench.statistics import (
    COARSE_AFTER,
    HOPS,
    Distribution,
    VariantResult,
    coarse_sns_clock,
    distribution,
    expectations,
    join,
    measure,
    percentile,
)
from bench.writer import Write
from tests.bench.synthetic import START, delivery, polled, write

milliseconds = st.lists(st.integers(-5000, 5000), min_size=1)


def row(
    writes: Sequence[Write], deliveries: Sequence[Delivery], tasks: int = 1, *, sns_clock: bool = True
) -> VariantResult:
    names = [f"task/{number}" for number in range(tasks)]
    return measure("lambda", writes, names, join(writes, deliveries), sns_clock=sns_clock)


@given(milliseconds, st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[int], p: int) -> None:
    enough = [value for value in values if sum(other <= value for other in values) * 100 >= p * len(values)]
    assert percentile(sorted(values), p) == min(enough)


@given(milliseconds)
def test_a_distribution_does_not_depend_on_the_order(values: list[int]) -> None:
    assert distribution(values) == distribution(sorted(values))
    assert distribution(values).max == max(values)
    assert distribution(values).mean == pytest.approx(sum(values) / len(values), abs=0.006)


def test_no_values_have_no_percentiles() -> None:
    assert distribution([]) == Distribution(0, None, None, None, None, None)


@given(st.data())
def test_every_delivery_is_lost_first_or_a_duplicate(data: st.DataObject) -> None:
    writes = [write(number, item_id=f"item {number % 3}") for number in range(data.draw(st.integers(1, 6)))]
    tasks = data.draw(st.integers(1, 3))
    copies = {(one.number, task): data.draw(st.integers(0, 3)) for one in writes for task in range(tasks)}
    deliveries = [
        delivery(one, f"task/{task}")
        for one in writes
        for task in range(tasks)
        for _ in range(copies[one.number, task])
    ]
    got = row(writes, data.draw(st.permutations(deliveries)), tasks)
    assert got.expected == len(writes) * tasks
    assert got.delivered == sum(count > 0 for count in copies.values())
    assert got.duplicates == sum(max(0, count - 1) for count in copies.values())
    missing = {(number, f"task/{task}") for (number, task), count in copies.items() if count == 0}
    assert {(loss.write.number, loss.task) for loss in got.lost} == missing
    assert got.ms["write_to_applied"].count == got.delivered
    assert len(expectations(writes, [f"task/{task}" for task in range(tasks)], ["lambda"])) == got.expected


@given(st.permutations(range(6)))
def test_a_lower_version_after_a_higher_one_is_out_of_order(order: list[int]) -> None:
    writes = [replace(write(number), written_at=START) for number in range(6)]
    deliveries = [delivery(writes[number], after=place) for place, number in enumerate(order)]
    below = sum(any(earlier > one for earlier in order[:place]) for place, one in enumerate(order))
    assert row(writes, deliveries).out_of_order == below


def test_a_second_copy_of_the_latest_version_is_in_order() -> None:
    one = write(0)
    assert row([one], [delivery(one), delivery(one, after=200)]).out_of_order == 0


def test_order_is_a_matter_of_one_task_one_item_and_one_forwarder() -> None:
    first, second, other = write(0), write(1), write(0, item_id="b", version=1)
    deliveries = [
        delivery(second, "task/0", after=0),
        delivery(first, "task/1", after=3000),
        delivery(other, "task/0", after=3000),
        delivery(first, "task/0", forwarder="pipe", after=3000),
    ]
    assert row([first, second, other], deliveries, 2).out_of_order == 0


def test_the_other_forwarder_s_copy_does_not_stand_in() -> None:
    one = write(0)
    got = row([one], [delivery(one, forwarder="pipe")])
    assert (got.delivered, len(got.lost)) == (0, 1)


def test_a_task_that_came_later_is_no_part_of_the_count() -> None:
    one = write(0)
    got = row([one], [delivery(one), delivery(one, "task/9")])
    assert (got.expected, got.delivered, got.duplicates) == (1, 1, 0)


def test_a_failed_write_is_not_expected() -> None:
    failed = replace(write(0), version=None, error="no")
    got = row([failed, write(1)], [delivery(write(1))])
    assert (got.expected, got.delivered, got.lost) == (1, 1, [])


def test_hops_are_timed_by_the_writer_s_log_and_add_up() -> None:
    one = write(0, kind="delete")
    took = row([one], [delivery(one, after=100)]).ms
    assert {hop: took[hop].mean for hop in took} == {
        "write_to_applied": 100,
        "forward": 30,
        "sns": 20,
        "write_to_queue": 50,
        "sqs": 40,
        "apply": 10,
    }


def test_a_stale_copy_counts_when_it_came_second() -> None:
    one = write(0)
    got = row([one], [delivery(one, after=400, outcome="stale"), delivery(one, after=100)])
    assert (got.ms["write_to_applied"].max, got.duplicates) == (100, 1)


def test_negative_hops_are_counted_and_kept() -> None:
    one = write(0)
    got = row([one], [delivery(one, after=20)])
    assert got.negative == {"forward": 1, "write_to_queue": 1}
    assert got.ms["forward"].p50 == -50


def test_without_an_sns_clock_only_its_two_hops_are_empty() -> None:
    one = write(0)
    took = row([one], [delivery(one)], sns_clock=False).ms
    assert {hop for hop in HOPS if took[hop].count == 0} == {"forward", "sns"}


@pytest.mark.parametrize(
    ("messages", "finest", "coarse"),
    [(COARSE_AFTER, 1000, True), (COARSE_AFTER - 1, 1000, False), (COARSE_AFTER, 1001, False)],
)
def test_whole_seconds_in_many_messages_are_a_coarse_clock(messages: int, finest: int, coarse: bool) -> None:
    deliveries = [replace(delivery(write(number)), sns_at=1000 * number) for number in range(messages - 1)]
    deliveries.append(replace(delivery(write(messages)), sns_at=finest))
    assert coarse_sns_clock(deliveries) is coarse
    assert coarse_sns_clock([*deliveries, *deliveries]) is coarse  # copies of a message share its clock


def poll_row(writes: Sequence[Write], deliveries: Sequence[Delivery]) -> VariantResult:
    return measure("poll", writes, ["task/0"], join(writes, deliveries), sns_clock=True)


def test_a_poll_delivers_every_version_up_to_the_one_that_it_sees() -> None:
    writes = [write(0), write(1), write(2), write(3)]
    got = poll_row(writes, [polled(writes[2], after=500), polled(writes[3], after=700)])
    assert (got.delivered, got.lost, got.duplicates, got.out_of_order) == (4, [], 0, 0)
    assert sorted(arrival.total for arrival in got.arrivals) == [500, 700, 1500, 2500]
    assert {hop: took.count for hop, took in got.ms.items() if took.count} == {"write_to_applied": 4}


def test_a_version_above_the_last_poll_is_lost() -> None:
    writes = [write(0), write(1)]
    assert [loss.write.number for loss in poll_row(writes, [polled(writes[0])]).lost] == [1]


def test_an_absence_delivers_the_delete_and_what_was_never_seen_before_it() -> None:
    writes = [write(0), write(1), write(2, kind="delete"), write(3, version=9)]
    seen = [polled(writes[0]), polled(writes[2], version=2)]
    assert [loss.write.number for loss in poll_row(writes, seen).lost] == [3]
    assert poll_row(writes, [*seen, polled(writes[3])]).lost == []


def test_an_absence_delivers_no_later_delete() -> None:
    writes = [write(0), write(1, kind="delete"), write(2, version=9), write(3, version=10, kind="delete")]
    assert [loss.write.number for loss in poll_row(writes, [polled(writes[1])]).lost] == [2, 3]


def test_what_a_poll_found_is_nothing_that_a_forwarder_delivered() -> None:
    one = write(0)
    assert row([one], [polled(one)]).delivered == 0
    assert row([one], [polled(one), delivery(one)]).lost == []
