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

# By name or by ARN: ALARM("x") OR OK(arn:aws:cloudwatch:eu-south-1:123456789012:alarm:y)
STATE = re.compile(r'(\w+)\s*\(\s*("[^"]*"|[^"()]*?)\s*\)')


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
    """Every alarm has actions, and they are enabled, unless a composite alarm combines it and acts for it.

    That is one that is in alarm whenever this is: by NOT, AND or FALSE it may not be.
    """
    if alarm.urn in _combined(stack):
        return
    if known(alarm, "actionsEnabled") is False:
        yield "set actions_enabled to True, or leave it out."
    elif not _has_actions(alarm):
        yield "set alarm_actions to the ARN of an SNS topic."


def _has_actions(alarm: PolicyResource) -> bool:
    # The list as a whole can be unknown, and then its first element stands for it.
    numbers = range(len(known(alarm, "alarmActions") or "?"))
    return any(is_set(alarm, ("alarmActions", number), *ACTIONS) for number in numbers)


@lru_cache(maxsize=1)
def _combined(stack: Stack) -> set[str]:
    """The alarms that composite alarms act for, or combine for others that act."""
    acting = [
        composite
        for composite in stack.of_type(COMPOSITE_ALARM)
        if known(composite, "actionsEnabled") is not False and _has_actions(composite)
    ]
    found: set[str] = set()
    while acting:
        alarms = [alarm for alarm in _followed(stack, acting.pop()) if alarm.urn not in found]
        found |= {alarm.urn for alarm in alarms}
        acting += [alarm for alarm in alarms if alarm.resource_type == COMPOSITE_ALARM]
    return found


def _followed(stack: Stack, composite: PolicyResource) -> list[PolicyResource]:
    """The alarms that put a composite alarm in alarm by themselves; what it is made from, while unknown."""
    kinds = (METRIC_ALARM, COMPOSITE_ALARM)
    expression = known(composite, "alarmRule")
    if expression is None:
        return [alarm for kind in kinds for alarm in stack.referred(composite, ("alarmRule",), kind)]
    if re.search(r"\b(NOT|AND|FALSE)\b", STATE.sub("", expression)):
        return []
    named = {name.strip('"') for state, name in STATE.findall(expression) if state == "ALARM"}
    names = {name.rpartition(":alarm:")[2] for name in named}
    return [alarm for name in names for kind in kinds for alarm in stack.named(name, kind)]
