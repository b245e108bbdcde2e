"""An alarm without actions changes colour on a page that nobody has open."""

from collections.abc import Iterator

from pulumi_policy import PolicyResource, Severity

from ..queues import Queues
from ..rule import Violation, stack_rule
from ..stack import Stack, is_set, known

ACTIONS = (
    "aws:sns/topic:Topic",
    "aws:lambda/function:Function",
    "aws:lambda/alias:Alias",
    "aws:autoscaling/policy:Policy",
    "aws:appautoscaling/policy:Policy",
)
"""What an action is made from. Other actions, Systems Manager's for one, have ARNs that are always known."""


@stack_rule(Severity.HIGH)
def dlq_alarm_has_actions(stack: Stack) -> Iterator[Violation]:
    """Every alarm on the depth of a dead letter queue has actions, and they are enabled."""
    queues = Queues(stack)
    for queue in queues.dead_letter.values():
        for alarm in queues.alarms.get(queue.urn, []):
            if fix := _fix(alarm):
                yield Violation(
                    alarm, f"Alarm '{alarm.name}' of dead letter queue '{queue.name}' tells nobody. {fix}"
                )


def _fix(alarm: PolicyResource) -> str | None:
    if known(alarm, "actionsEnabled") is False:
        return "Set actions_enabled to True, or leave it out."
    # The list as a whole can be unknown, and then its first element stands for it.
    numbers = range(len(known(alarm, "alarmActions") or "?"))
    if not any(is_set(alarm, ("alarmActions", number), *ACTIONS) for number in numbers):
        return "Set alarm_actions to the ARN of an SNS topic."
    return None
