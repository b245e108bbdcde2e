import json

import pytest

from bench.deliveries import Delivery, DeliveryLog, Expectation, collect, parse
from bench.errors import ExperimentError
from tests.bench.pretend import PretendStack


def log_of(stack: PretendStack, prefix: str = "run:") -> DeliveryLog:
    return DeliveryLog(stack.client("logs"), "log-group", stack.tasks, prefix, 0)


def exact(deliveries: list[Delivery]) -> set[Expectation]:
    return {Expectation(one.id, one.version, one.task, one.forwarder) for one in deliveries}


def line(**changed: object) -> str:
    stack = PretendStack(task_count=1)
    stack.log("run:a", 7)
    told = json.loads(stack.lines["consumer/consumer/" + "0" * 32][1])
    return json.dumps(told | changed)


def test_a_delivery_line_is_understood() -> None:
    told = parse(line(), "run:")
    assert told is not None
    assert (told.id, told.version, told.forwarder) == ("run:a", 7, "lambda")
    assert exact([told]) == {Expectation("run:a", 7, told.task, "lambda")}


def test_a_polled_change_has_no_message_and_no_clock_of_a_queue() -> None:
    clocks = dict.fromkeys(("message", "snsAt", "sqsSentAt", "sqsFirstReceivedAt", "receives"))
    told = parse(line(forwarder="poll", **clocks), "run:")
    assert told is not None
    assert (told.forwarder, told.sns_at, told.sqs_sent_at, told.receives) == ("poll", None, None, None)


@pytest.mark.parametrize(
    "other",
    [
        "",
        "run: no JSON",
        '["run:"]',
        line(event="refused"),
        line(id="another:a"),
        line(id="a", message="run:"),
    ],
)
def test_any_other_line_is_none(other: str) -> None:
    assert parse(other, "run:") is None


def test_a_line_of_another_format_is_an_error_that_names_the_field() -> None:
    old = json.loads(line())
    del old["snsAt"]
    with pytest.raises(ExperimentError, match="a delivery line has no 'snsAt'"):
        parse(json.dumps(old), "run:")


def test_each_line_is_read_once_whatever_the_page() -> None:
    stack = PretendStack()
    log = log_of(stack)
    for version in range(10):
        stack.log("run:a", version)
    assert len(log.read()) == 10 * 2 * 2
    assert log.read() == []
    stack.log("run:a", 10)
    assert [one.version for one in log.read()] == [10] * 4


def test_a_stream_that_appears_later_is_found() -> None:
    stack = PretendStack()
    log = log_of(stack)
    late, lines = stack.lines.popitem()
    assert log.read() == []
    stack.lines[late] = lines
    stack.log("run:a", 1)
    assert len(log.read()) == 4


def test_lines_of_other_runs_and_older_tasks_are_left_out() -> None:
    stack = PretendStack()
    stack.log("older:a", 1)
    assert log_of(stack).read() == []


def test_collecting_ends_with_the_last_expected_delivery() -> None:
    stack = PretendStack()
    stack.log("run:a", 1)
    expected = {Expectation("run:a", 1, task, name) for task in stack.tasks for name in ("lambda", "pipe")}
    found: list[int] = []
    assert exact(collect(log_of(stack), expected, exact, 60, advance=found.append)) == expected
    assert sum(found) == 4


def test_a_line_that_was_ingested_behind_the_token_is_found_before_it_is_called_lost() -> None:
    stack = PretendStack(task_count=1)
    stack.log("run:a", 2)
    log = log_of(stack)
    log.read()
    (lines,) = stack.lines.values()
    lines.insert(0, line(version=1))
    expected = {Expectation("run:a", 1, stack.tasks[0], "lambda")}
    got = collect(log, expected, exact, 0, advance=lambda _: None)
    assert expected <= exact(got)
