from dataclasses import replace

import pytest

from bench.report import series
from bench.report.charts import logarithmic
from bench.report.series import Moment
from tests.bench.synthetic import delivery, polled, result, write


def test_the_hops_of_a_path_follow_one_another_and_end_at_the_mean() -> None:
    first, *_ = series.paths(result([write(0)], [delivery(write(0))]))
    assert [(step.name, step.start, step.ms) for step in first.steps] == [
        ("forward", 0, 30),
        ("sns", 30, 20),
        ("sqs", 50, 40),
        ("apply", 90, 10),
    ]
    assert (first.name, first.total, first.published) == ("lambda", 100, False)


def test_a_variant_by_which_nothing_came_has_a_path_without_steps() -> None:
    told = {path.name: path for path in series.paths(result([write(0)], [delivery(write(0))]))}
    assert told["pipe"].steps == ()


def test_the_article_s_two_paths_stand_beside_ours() -> None:
    published = [path.total for path in series.paths(result([write(0)], [])) if path.published]
    assert published == pytest.approx([108.39, 210.74])


def test_a_poll_is_one_step_for_it_has_no_queue() -> None:
    row = result([write(0)], [replace(polled(write(0)), forwarder="lambda")])
    assert [step.name for step in series.paths(row)[0].steps] == ["write to applied"]


def test_a_moment_is_the_last_task_s_and_tells_of_a_second_receive() -> None:
    late = replace(delivery(write(1), "task/1", after=250), receives=2)
    row = result([write(0), write(1)], [delivery(write(0)), delivery(write(1)), late], tasks=2)
    drawn = series.moments(row.variants["lambda"].arrivals, series.begin(row))
    assert drawn == [Moment(0, 100, again=False), Moment(1, 250, again=True)]


def test_the_warm_up_comes_before_the_first_measured_write() -> None:
    row = result([write(5)], [delivery(write(3), after=900), delivery(write(5))], warm_up=[write(3)])
    assert series.warm_up(row, "lambda") == [Moment(-2, 900, again=False)]
    assert series.warm_up(row, "pipe") == []


def test_a_heat_map_has_each_task_s_worst_delivery_of_each_period() -> None:
    writes = [write(number) for number in range(3)]
    deliveries = [delivery(one, "task/0", after=100 + one.number) for one in writes]
    row = result(writes, [*deliveries, delivery(writes[0], "task/1", after=700)], tasks=2)
    drawn = series.heat(row, row.variants["lambda"])
    assert drawn.tasks == ("00 0", "00 1")
    assert drawn.worst == ((100, 101, 102), (700, None, None))
    assert drawn.lost == {(1, 1), (2, 1)}


def test_a_long_run_s_heat_map_has_no_more_columns_and_keeps_the_worst_of_each() -> None:
    writes = [write(number) for number in range(10 * series.COLUMNS)]
    deliveries = [delivery(one, after=5000 if one.number == 15 else 100) for one in writes]
    row = result(writes, deliveries)
    (cells,) = series.heat(row, row.variants["lambda"]).worst
    assert len(cells) == series.COLUMNS
    assert cells == (100, 5000, *[100] * (series.COLUMNS - 2))


def test_a_task_by_which_nothing_came_is_named_by_its_id() -> None:
    row = result([write(0)], [delivery(write(0), "task/0")], tasks=2)
    assert series.heat(row, row.variants["lambda"]).tasks == ("00 0", "1")


@pytest.mark.parametrize(
    ("values", "labels"),
    [([10, 2000], ["1", "2", "5", "10"]), ([2, 40_000], ["1", "10", "100", "1,000"]), ([-3, 0], ["1", "2"])],
)
def test_a_logarithmic_axis_over_many_decades_has_a_tick_a_decade(
    values: list[float], labels: list[str]
) -> None:
    assert logarithmic(values)["ticktext"][: len(labels)] == labels
