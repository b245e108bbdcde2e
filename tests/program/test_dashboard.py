"""What is drawn and watched is what something emits."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.freshness_alarms import late_after
from consumer.deliveries import delivery_line, polled_line, repair_line, watermark_lines
from consumer.message import Change, Delivery
from consumer.watermark import late_after_ms
from tests.functions import test_redriver_handler as redriver
from tests.functions.reaper import load
from tests.program.conftest import Evaluation, evaluate, run_program, stack_configuration

Program = Callable[[str], Evaluation]
Metric = tuple[str, tuple[str, ...]]
"""A metric's name, and the names of its dimensions."""


# What AWS says that it emits, and by which dimensions.
OF_AWS = {
    # https://docs.aws.amazon.com/appsync/latest/devguide/monitoring.html
    ("AWS/AppSync", "Latency", ("GraphQLAPIId",)),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    ("AWS/DynamoDB", "SuccessfulRequestLatency", ("Operation", "StreamLabel", "TableName")),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    ("AWS/Events", "FailedInvocations", ("EventBusName", "RuleName")),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-monitoring.html
    ("AWS/EventBridge/Pipes", "Duration", ("PipeName",)),
    ("AWS/EventBridge/Pipes", "ExecutionFailed", ("PipeName",)),
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Duration", ("FunctionName",)),
    ("AWS/Lambda", "Errors", ("FunctionName",)),
    ("AWS/Lambda", "IteratorAge", ("FunctionName",)),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)),
}


def graphs(made: Evaluation) -> list[dict[str, Any]]:
    (dashboard,) = made.of("aws:cloudwatch/dashboard:Dashboard")
    return json.loads(dashboard.inputs["dashboardBody"])["widgets"]


def drawn(made: Evaluation) -> set[Metric]:
    rows = [row for graph in graphs(made) for row in graph["properties"]["metrics"] if row[0] == "statecast"]
    return {(row[1], tuple(sorted(row[2:-1:2]))) for row in rows}


def watched(made: Evaluation) -> set[Metric]:
    alarms = [alarm.inputs for alarm in made.of("aws:cloudwatch/metricAlarm:MetricAlarm")]
    own = [alarm for alarm in alarms if alarm["namespace"] == "statecast"]
    return {(alarm["metricName"], tuple(sorted(alarm["dimensions"]))) for alarm in own}


def told(line: str) -> Iterator[Metric]:
    """The metrics that CloudWatch takes from a log line."""
    fields: Mapping[str, Any] = json.loads(line)
    for directive in fields.get("_aws", {}).get("CloudWatchMetrics", ()):
        assert directive["Namespace"] == "statecast"
        for metric in directive["Metrics"]:
            assert isinstance(fields[metric["Name"]], int | float)
            for dimensions in directive["Dimensions"]:
                assert set(dimensions) <= fields.keys()
                yield metric["Name"], tuple(sorted(dimensions))


@pytest.fixture
def emitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> set[Metric]:
    """What tasks, redriver and reaper emit, by the very code that does."""
    who, change = {"table": "state", "task": "t", "slot": "00"}, Change("a", 1, "{}")
    delivery = Delivery("m", change, False, "lambda", 1, 0, 1, None, 2, 3, 4)
    lines = [
        delivery_line(who, delivery, "applied", 5, 6),
        polled_line(who, change._replace(item='{"writtenAt":{"N":"1"}}'), 1, 2),
        *watermark_lines(who, {"lambda": 1}, fallback=False),
        repair_line(who, "a", 1),
    ]
    gap = redriver.HANDLER.Range("a:b:c:d:e:table/state/stream/1", "s", "1", "2", 2)
    redriver.HANDLER.log("lost", gap, **{redriver.HANDLER.LOST: 1})
    reaper = load(tmp_path, [])
    counted = (reaper.TASKS, reaper.TASKS_AT_DIGEST, reaper.UNREADY_TASKS)
    for names in (counted, [reaper.POISON_MESSAGES], [reaper.STOPPED_TASKS]):
        reaper.log("event", **reaper.metrics(dict.fromkeys(names, 1)))
    return {metric for line in [*lines, *capsys.readouterr().out.splitlines()] for metric in told(line)}


@pytest.mark.parametrize("stack", ["dev", "lambda", "pipe", "bus", "poll", "local"])
def test_no_graph_or_alarm_names_a_metric_that_nothing_emits(
    program: Program, stack: str, emitted: set[Metric]
) -> None:
    made = program(stack)
    assert drawn(made) <= emitted
    assert watched(made) <= emitted


def of_aws(made: Evaluation) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    alarms = [alarm.inputs for alarm in made.of("aws:cloudwatch/metricAlarm:MetricAlarm")]
    for alarm in alarms:
        yield alarm["namespace"], alarm["metricName"], tuple(sorted(alarm["dimensions"]))
    for body in made.of("aws:cloudwatch/dashboard:Dashboard"):
        for graph in json.loads(body.inputs["dashboardBody"])["widgets"]:
            for row in graph["properties"]["metrics"]:
                yield row[0], row[1], tuple(sorted(row[2:-1:2]))


def test_no_graph_or_alarm_names_a_metric_that_aws_does_not_emit_and_each_is_used(program: Program) -> None:
    stacks = ("lambda", "pipe", "bus", "poll", "handoff")
    named = {metric for stack in stacks for metric in of_aws(program(stack))}
    assert {metric for metric in named if metric[0] != "statecast"} == OF_AWS


def test_all_that_is_emitted_is_drawn_but_the_time_to_apply(program: Program, emitted: set[Metric]) -> None:
    assert {name for name, _ in emitted - drawn(program("dev"))} == {"applyTimeTaken"}


@pytest.mark.parametrize("period_seconds", [2, 10, 3_600])
def test_tasks_and_alarms_mean_the_same_by_late(period_seconds: int) -> None:
    assert late_after(period_seconds) == late_after_ms(period_seconds)


def test_the_dashboard_has_the_articles_graphs_and_ours(program: Program) -> None:
    titles = [graph["properties"]["title"] for graph in graphs(program("dev"))]
    assert titles == [
        "Write → applied, ms",
        "AppSync, ms",
        "Stream and forwarders, ms",
        "forwardTimeTaken, ms",
        "snsTimeTaken, ms",
        "sqsTimeTaken, ms",
        "Age of the newest watermark at the worst task, ms",
        "Tasks, those at the fleet's digest, those unready",
        "Polling instead of push (1: some task), repairs, lost, poison, stops",
        "Dead letters",
    ]


def test_a_fleet_that_polls_has_what_it_can_have() -> None:
    made = evaluate(run_program, stack_configuration("poll") | {"statecast:writeApi": "none"})
    (graph,) = graphs(made)
    assert graph["properties"]["metrics"][0] == [
        "statecast", "writeToApplied", "table", "statecast-state", "forwarder", "poll",
        {"stat": "p50", "label": "poll p50"},
    ]  # fmt: skip


def test_each_slots_dead_letters_are_drawn(program: Program) -> None:
    (graph,) = (of for of in graphs(program("lambda")) if of["properties"]["title"] == "Dead letters")
    rows = graph["properties"]["metrics"]
    assert len(rows) == 40
    assert rows[7][:4] == [
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        "statecast-slot-07-dlq",
    ]


def test_graphs_lie_beside_each_other_and_share_no_place(program: Program) -> None:
    places = [(graph["x"], graph["y"]) for graph in graphs(program("dev"))]
    assert len(set(places)) == len(places)
    assert all(x + 8 <= 24 for x, _ in places)


@pytest.mark.parametrize(
    ("stack", "variant"), [("dev", "lambda"), ("dev", "pipe"), ("bus", "bus"), ("poll", "poll")]
)
def test_an_alarm_tells_when_one_change_in_a_hundred_takes_more_than_two_seconds(
    program: Program, stack: str, variant: str
) -> None:
    made, name = program(stack), f"statecast-tasks-freshness-{variant}-slow"
    alarm = made["aws:cloudwatch/metricAlarm:MetricAlarm", name].inputs
    assert (alarm["metricName"], alarm["extendedStatistic"], alarm["threshold"]) == (
        "writeToApplied",
        "p99",
        2000,
    )
    assert "statistic" not in alarm
    assert alarm["dimensions"] == {"table": "statecast-state", "forwarder": variant}
    assert alarm["alarmActions"]
