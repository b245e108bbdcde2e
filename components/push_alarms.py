"""Alarms on what the tasks themselves say of how they follow the table."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.alarm import alarm_above

NAMESPACE = "statecast"
# A watermark is written each period, or up to a fifth of one later, and a change is due in 2 s.
SPREAD = 0.2
DUE_MILLISECONDS = 2_000


def late_after(watermark_seconds: int) -> float:
    """The age of the newest watermark, in milliseconds, from which on push is late."""
    return watermark_seconds * 1000 * (1 + SPREAD) + DUE_MILLISECONDS


@dataclass(frozen=True, kw_only=True)
class PushAlarmsArgs:
    """What PushAlarms are made of."""

    table_name: pulumi.Input[str]  # the table that the tasks hold
    forwarders: Sequence[str]  # what carries changes to the tasks
    watermark_seconds: int  # how often a watermark is written
    alarm_topic_arn: pulumi.Input[str]  # who is told


class PushAlarms(pulumi.ComponentResource):
    """Alarms on each forwarder's lateness and slowness, and one on changes that no message told."""

    def __init__(self, name: str, args: PushAlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:PushAlarms", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        for forwarder in args.forwarders:
            alarm_above(
                f"{name}-{forwarder}-late",
                late_after(args.watermark_seconds),
                description=f"Watermarks come late by {forwarder}, or no task is there to say. "
                "When all forwarders are late, tasks poll.",
                namespace=NAMESPACE,
                metric="watermarkLag",
                dimensions={"table": args.table_name, "forwarder": forwarder},
                statistic="Maximum",
                missing_data="breaching",
                topic_arn=args.alarm_topic_arn,
                opts=child_opts,
            )
            alarm_above(
                f"{name}-{forwarder}-slow",
                DUE_MILLISECONDS,
                description=f"One change in a hundred by {forwarder} takes longer than is promised.",
                namespace=NAMESPACE,
                metric="writeToApplied",
                dimensions={"table": args.table_name, "forwarder": forwarder},
                statistic="p99",
                topic_arn=args.alarm_topic_arn,
                opts=child_opts,
            )
        alarm_above(
            f"{name}-repairs",
            0,
            description="A rescan found changes that no message told.",
            namespace=NAMESPACE,
            metric="repairs",
            dimensions={"table": args.table_name},
            statistic="Sum",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )
        self.register_outputs({})
