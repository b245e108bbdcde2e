"""The graphs of a fleet: the article's, and how every task follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.forwarders.forwarder import Forwarder
from components.freshness_alarms import DUE_MILLISECONDS, late_after
from components.json_text import json_text
from components.state_table import StateTable
from components.task_slots import TaskSlots
from components.write_api import WriteApi
from container.consumer.task_metrics import (
    FALLBACK,
    FORWARD_TIME_TAKEN,
    NAMESPACE,
    REPAIRS,
    SNS_TIME_TAKEN,
    SQS_TIME_TAKEN,
    WATERMARK_LAG,
    WRITE_TO_APPLIED,
)
from functions.reaper.reaper_metrics import (
    POISON_MESSAGES,
    STOPPED_TASKS,
    TASKS,
    TASKS_AT_DIGEST,
    UNREADY_TASKS,
)
from functions.redriver.redriver_metrics import LOST

# A dashboard is 24 columns wide.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
WIDTH, HEIGHT, COLUMNS = 8, 6, 3
SECONDS = 60

Row = list[Any]
"""A metric as a dashboard has it: namespace, name, names and values of its dimensions, how it is drawn."""


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """What a Dashboard is made of."""

    table: StateTable  # the table that the tasks hold
    api: WriteApi | None  # what takes mutations
    forwarders: Mapping[str, Forwarder]  # by the name that tasks know them by; none: the tasks poll
    slots: TaskSlots  # the slots whose dead letters are shown
    region: str  # where the metrics are
    watermark_seconds: int  # how often a watermark is written


class Dashboard(pulumi.ComponentResource):
    """The table's dashboard, of its name; every graph is by the minute."""

    dashboard_name: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:Dashboard", name, None, opts)

        dashboard = aws.cloudwatch.Dashboard(
            name,
            # A name made of the stack's is another stack's too, which would write over it.
            dashboard_name=args.table.table_name,
            dashboard_body=json_text({"widgets": _widgets(args)}),
            opts=pulumi.ResourceOptions(parent=self),
        )

        self.dashboard_name = dashboard.dashboard_name
        self.register_outputs({"dashboardName": self.dashboard_name})


def _widgets(args: DashboardArgs) -> list[dict[str, Any]]:
    table = args.table.table_name
    own = {"table": table}
    by = {name: {**own, "forwarder": name} for name in args.forwarders or ["poll"]}
    graphs = [
        _graph(
            "Write → applied, ms",
            [
                _row(NAMESPACE, WRITE_TO_APPLIED, of, statistic, f"{name} {statistic}")
                for name, of in by.items()
                for statistic in ("p50", "p99")
            ],
            line=DUE_MILLISECONDS,
        )
    ]
    if args.api:
        api = {"GraphQLAPIId": args.api.api_id}
        graphs.append(
            _graph(
                "AppSync, ms",
                [
                    _row("AWS/AppSync", "Latency", api, statistic, statistic)
                    for statistic in ("Average", "p99")
                ],
            )
        )
    if args.forwarders:
        stream = {"TableName": table, "StreamLabel": args.table.stream_label, "Operation": "GetRecords"}
        graphs += [
            _graph(
                "Stream and forwarders, ms",
                [
                    _row("AWS/DynamoDB", "SuccessfulRequestLatency", stream, "Average", "GetRecords"),
                    *(
                        _row(took.namespace, took.name, took.dimensions, "Average", f"{name} {took.name}")
                        for name, forwarder in args.forwarders.items()
                        for took in forwarder.took
                    ),
                ],
            ),
            *(
                _graph(
                    f"{metric}, ms",
                    [_row(NAMESPACE, metric, of, "Average", name) for name, of in by.items()],
                )
                for metric in (FORWARD_TIME_TAKEN, SNS_TIME_TAKEN, SQS_TIME_TAKEN)
            ),
            _graph(
                "Age of the newest watermark at the worst task, ms",
                [_row(NAMESPACE, WATERMARK_LAG, of, "Maximum", name) for name, of in by.items()],
                line=late_after(args.watermark_seconds),
            ),
            _graph(
                "Tasks, those at the fleet's digest, those unready",
                [
                    _row(NAMESPACE, metric, own, "Minimum", metric)
                    for metric in (TASKS, TASKS_AT_DIGEST, UNREADY_TASKS)
                ],
            ),
            _graph(
                "Polling instead of push (1: some task), repairs, lost, poison, stops",
                [
                    _row(NAMESPACE, FALLBACK, own, "Maximum", FALLBACK),
                    *(
                        _row(NAMESPACE, metric, own, "Sum", metric)
                        for metric in (REPAIRS, LOST, POISON_MESSAGES, STOPPED_TASKS)
                    ),
                ],
            ),
            _graph(
                "Dead letters",
                [
                    _row(
                        "AWS/SQS",
                        "ApproximateNumberOfMessagesVisible",
                        {"QueueName": queue.dead_letter_queue.name},
                        "Maximum",
                        f"slot {number:02}",
                    )
                    for number, queue in enumerate(args.slots.queues)
                ],
            ),
        ]
    return [
        {
            "type": "metric",
            "x": WIDTH * (number % COLUMNS),
            "y": HEIGHT * (number // COLUMNS),
            "width": WIDTH,
            "height": HEIGHT,
            "properties": {**graph, "region": args.region},
        }
        for number, graph in enumerate(graphs)
    ]


def _row(
    namespace: str, metric: str, dimensions: Mapping[str, pulumi.Input[str]], statistic: str, label: str
) -> Row:
    named = [part for dimension in dimensions.items() for part in dimension]
    return [namespace, metric, *named, {"stat": statistic, "label": label}]


def _graph(title: str, rows: Sequence[Row], line: float | None = None) -> dict[str, Any]:
    """A graph; `line` is drawn across it."""
    drawn = {"annotations": {"horizontal": [{"value": line}]}} if line is not None else {}
    return {"title": title, "view": "timeSeries", "period": SECONDS, "metrics": list(rows), **drawn}
