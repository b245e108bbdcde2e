"""An alarm that tells someone."""

from collections.abc import Mapping
from typing import Literal, TypedDict, Unpack

import pulumi
import pulumi_aws as aws


class Watched(TypedDict):
    """What an alarm is on, and who is told."""

    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    topic_arn: pulumi.Input[str]
    opts: pulumi.ResourceOptions


MissingData = Literal["notBreaching", "breaching"]


def alarm_above(
    name: str,
    threshold: float,
    *,
    statistic: str,
    missing_data: MissingData = "notBreaching",
    minutes: int = 1,
    **watched: Unpack[Watched],
) -> aws.cloudwatch.MetricAlarm:
    """Tell a topic that in each of the last minutes a metric was above the threshold or, if so told, missing.

    A statistic is one of CloudWatch's, or a percentile such as `p99`.
    """
    return _alarm(
        name, "GreaterThanThreshold", threshold, statistic, missing_data, minutes=minutes, **watched
    )


def alarm_below(
    name: str, threshold: float, *, minutes: int, **watched: Unpack[Watched]
) -> aws.cloudwatch.MetricAlarm:
    """Tell a topic that a metric has been below the threshold, or missing, in each of the last minutes."""
    # A minute is bad only if it was so throughout.
    return _alarm(name, "LessThanThreshold", threshold, "Maximum", "breaching", minutes=minutes, **watched)


def _alarm(
    name: str,
    comparison: str,
    threshold: float,
    statistic: str,
    missing_data: MissingData,
    *,
    minutes: int,
    **watched: Unpack[Watched],
) -> aws.cloudwatch.MetricAlarm:
    percentile = statistic.startswith("p")
    return aws.cloudwatch.MetricAlarm(
        name,
        alarm_description=watched["description"],
        namespace=watched["namespace"],
        metric_name=watched["metric"],
        dimensions=watched["dimensions"],
        statistic=None if percentile else statistic,
        extended_statistic=statistic if percentile else None,
        period=60,
        evaluation_periods=minutes,
        comparison_operator=comparison,
        threshold=threshold,
        treat_missing_data=missing_data,
        alarm_actions=[watched["topic_arn"]],
        ok_actions=[watched["topic_arn"]],
        opts=watched["opts"],
    )


def alarm_on_messages(
    name: str,
    queue_name: pulumi.Input[str],
    *,
    description: str,
    topic_arn: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """Tell a topic of every minute in which a message waits in a queue."""
    return alarm_above(
        name,
        0,
        description=description,
        namespace="AWS/SQS",
        # Messages that SQS itself moves to a queue do not count in NumberOfMessagesSent.
        metric="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": queue_name},
        statistic="Maximum",
        topic_arn=topic_arn,
        opts=opts,
    )
