"""A dead letter queue that nobody watches only delays the loss.

The metric is the queue's depth: `NumberOfMessagesSent` does not count what SQS itself moves there.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
"""

from collections.abc import Iterator

from pulumi_policy import Severity

from ..queues import Queues
from ..rule import Violation, stack_rule
from ..stack import Stack


@stack_rule(Severity.HIGH)
def dlq_has_alarm(stack: Stack) -> Iterator[Violation]:
    """Every dead letter queue has an alarm on its depth."""
    queues = Queues(stack)
    for queue in queues.dead_letter.values():
        if queue.urn not in queues.alarms:
            yield Violation(
                queue,
                f"No alarm fires when dead letter queue '{queue.name}' holds a message. Add an "
                "aws.cloudwatch.MetricAlarm on AWS/SQS ApproximateNumberOfMessagesVisible, dimension "
                "QueueName = the queue's name, statistic Maximum, GreaterThanThreshold 0.",
            )
