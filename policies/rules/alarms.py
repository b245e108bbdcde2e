"""A dead letter queue that nobody watches only delays the loss, and so does an alarm that tells nobody."""

import re
from functools import lru_cache

from pulumi_policy import PolicyResource, Severity

from ..kinds import ALIAS, COMPOSITE_ALARM, FUNCTION, METRIC_ALARM, QUEUE, TOPIC
from ..queues import queues_of
from ..rule import Fixes, rule
from ..stack import Stack, is_set, known, value

ACTIONS = (TOPIC, FUNCTION, ALIAS, "aws:autoscaling/policy:Policy", "aws:appautoscaling/policy:Policy")
"""What an action is made from. Other actions, Systems Manager's for one, have ARNs that are always known."""


@rule(Severity.HIGH, QUEUE)
def dlq_has_alarm(queue: PolicyResource, stack: Stack) -> Fixes:
    """Every dead letter queue has an alarm on its depth.

    `NumberOfMessagesSent` will not do: it does not count what SQS itself moves there.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """
    queues = queues_of(stack)
    if queue.urn in queues.dead_letter and queue.urn not in queues.alarms:
        yield (
            "add an aws.cloudwatch.MetricAlarm on AWS/SQS ApproximateNumberOfMessagesVisible, dimension "
            "QueueName = the queue's name, statistic Maximum, GreaterThanThreshold 0."
        )


@rule(Severity.MEDIUM, METRIC_ALARM)
def dlq_alarm_rests_without_data(alarm: PolicyResource, stack: Stack) -> Fixes:
    """Every alarm on a dead letter queue takes missing data for no breach: an idle queue sends none."""
    if (
        alarm.urn in queues_of(stack).dead_letter_alarms
        and value(alarm, "treatMissingData") != "notBreaching"
    ):
        yield "set treat_missing_data to notBreaching."


@rule(
    Severity.HIGH,
    METRIC_ALARM,
    COMPOSITE_ALARM,
    answers="CloudWatchAlarmAction CKV_AWS_319 CloudWatch.15 CloudWatch.17",
)
def alarm_has_actions(alarm: PolicyResource, stack: Stack) -> Fixes:
    """Every alarm has actions, and they are enabled, unless a composite alarm combines it and acts for it."""
    # The list as a whole can be unknown, and then its first element stands for it.
    numbers = range(len(known(alarm, "alarmActions") or "?"))
    if alarm.urn in _combined(stack):
        return
    if known(alarm, "actionsEnabled") is False:
        yield "set actions_enabled to True, or leave it out."
    elif not any(is_set(alarm, ("alarmActions", number), *ACTIONS) for number in numbers):
        yield "set alarm_actions to the ARN of an SNS topic."


@lru_cache(maxsize=1)
def _combined(stack: Stack) -> set[str]:
    """The alarms that composite alarms combine."""
    kinds = (METRIC_ALARM, COMPOSITE_ALARM)
    found: set[str] = set()
    for composite in stack.of_type(COMPOSITE_ALARM):
        # By name or by ARN: ALARM("x") OR OK(arn:aws:cloudwatch:eu-south-1:123456789012:alarm:y)
        given = re.findall(r'\(\s*"?([^")]+)', str(known(composite, "alarmRule")))
        names = {each.strip().rpartition(":alarm:")[2] for each in given}
        alarms = [alarm for name in names for kind in kinds for alarm in stack.named(name, kind)] or [
            alarm for kind in kinds for alarm in stack.referred(composite, ("alarmRule",), kind)
        ]
        found |= {alarm.urn for alarm in alarms}
    return found
