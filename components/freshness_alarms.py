"""Alarms on what the tasks themselves say of how fresh their state is."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.alarm import alarm_above
from container.consumer.task_metrics import NAMESPACE, REPAIRS, WATERMARK_LAG, WRITE_TO_APPLIED

# A watermark is written each period, or up to a fifth of one later, and a change is due in 2 s.
SPREAD = 0.2
DUE_MILLISECONDS = 2_000


def late_after(watermark_seconds: int) -> float:
    """The age of the newest watermark, in milliseconds, from which on push is late."""
    return watermark_seconds * 1000 * (1 + SPREAD) + DUE_MILLISECONDS


@dataclass(frozen=True, kw_only=True)
class FreshnessAlarmsArgs:
    """What FreshnessAlarms are made of."""

    table_name: pulumi.Input[str]  # the table that the tasks hold
    forwarders: Sequence[str]  # by the names that tasks know them by; none: the tasks poll
    watermark_seconds: int  # how often a watermark is written
    alarm_topic_arn: pulumi.Input[str]  # who is told
    told_by: pulumi.Resource  # the tasks: before they are there, or after, missing data would be an alarm


class FreshnessAlarms(pulumi.ComponentResource):
    """Alarms on how each forwarder is late or slow, and on changes that no message told; or on slow polls."""

    def __init__(
        self, name: str, args: FreshnessAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:FreshnessAlarms", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self, depends_on=[args.told_by])

        for variant in args.forwarders or ["poll"]:
            alarm_above(
                f"{name}-{variant}-slow",
                DUE_MILLISECONDS,
                description=f"One change in a hundred by {variant} takes longer than is promised.",
                namespace=NAMESPACE,
                metric=WRITE_TO_APPLIED,
                dimensions={"table": args.table_name, "forwarder": variant},
                statistic="p99",
                topic_arn=args.alarm_topic_arn,
                opts=child_opts,
            )
        for forwarder in args.forwarders:
            alarm_above(
                f"{name}-{forwarder}-late",
                late_after(args.watermark_seconds),
                description=f"Watermarks come late by {forwarder}, or no task is there to say. "
                "When all forwarders are late, tasks poll.",
                namespace=NAMESPACE,
                metric=WATERMARK_LAG,
                dimensions={"table": args.table_name, "forwarder": forwarder},
                statistic="Maximum",
                missing_data="breaching",
                topic_arn=args.alarm_topic_arn,
                opts=child_opts,
            )
        if args.forwarders:
            alarm_above(
                f"{name}-repairs",
                0,
                description="A rescan found changes that no message told.",
                namespace=NAMESPACE,
                metric=REPAIRS,
                dimensions={"table": args.table_name},
                statistic="Sum",
                topic_arn=args.alarm_topic_arn,
                opts=child_opts,
            )
        self.register_outputs({})
