"""Without a dead letter queue, a message that no reader can handle expires unseen."""

from collections.abc import Iterator

from pulumi_policy import Severity

from ..queues import Queues
from ..rule import Violation, stack_rule
from ..stack import Stack


@stack_rule(Severity.HIGH)
def queue_has_dlq(stack: Stack) -> Iterator[Violation]:
    """Every queue that is not itself a dead letter queue has one."""
    queues = Queues(stack)
    for queue in queues.all:
        if queue.urn not in queues.redriven and queue.urn not in queues.dead_letter:
            yield Violation(
                queue,
                f"Queue '{queue.name}' has no dead letter queue. Give it a redrive_policy, or an "
                "aws.sqs.RedrivePolicy, whose deadLetterTargetArn is the ARN of a queue with an alarm.",
            )
