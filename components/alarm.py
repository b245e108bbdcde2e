"""An alarm that tells someone."""

from collections.abc import Mapping
from typing import Literal

import pulumi
import pulumi_aws as aws


def alarm_above(
    name: str,
    threshold: float,
    *,
    description: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    statistic: str,
    topic_arn: pulumi.Input[str],
    missing_data: Literal["notBreaching", "breaching"] = "notBreaching",
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """Tell a topic of every minute in which a metric is above the threshold or, if so told, is missing.

    A statistic is one of CloudWatch's, or a percentile such as `p99`.
    """
    percentile = statistic.startswith("p")
    return aws.cloudwatch.MetricAlarm(
        name,
        alarm_description=description,
        namespace=namespace,
        metric_name=metric,
        dimensions=dimensions,
        statistic=None if percentile else statistic,
        extended_statistic=statistic if percentile else None,
        period=60,
        evaluation_periods=1,
        comparison_operator="GreaterThanThreshold",
        threshold=threshold,
        treat_missing_data=missing_data,
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        opts=opts,
    )


def alarm_below(
    name: str,
    threshold: float,
    *,
    minutes: int,
    description: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    topic_arn: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """Tell a topic that a metric has been below the threshold, or missing, in each of the last minutes."""
    return aws.cloudwatch.MetricAlarm(
        name,
        alarm_description=description,
        namespace=namespace,
        metric_name=metric,
        dimensions=dimensions,
        # A minute is bad only if it was so throughout.
        statistic="Maximum",
        period=60,
        evaluation_periods=minutes,
        comparison_operator="LessThanThreshold",
        threshold=threshold,
        treat_missing_data="breaching",
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        opts=opts,
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
