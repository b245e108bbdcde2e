"""Which queues are dead letter queues, which queues have one, and which alarms watch them."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from pulumi_policy import PolicyResource

from .stack import Path, Stack, is_set, known

QUEUE = "aws:sqs/queue:Queue"
REDRIVE_POLICY = "aws:sqs/redrivePolicy:RedrivePolicy"
METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"

REDRIVE: Path = ("redrivePolicy", "deadLetterTargetArn")

FAILURE_DESTINATIONS: tuple[tuple[str, Path], ...] = (
    (QUEUE, REDRIVE),
    (REDRIVE_POLICY, REDRIVE),
    ("aws:sns/topicSubscription:TopicSubscription", REDRIVE),
    (
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        ("destinationConfig", "onFailure", "destinationArn"),
    ),
    (
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        ("destinationConfig", "onFailure", "destination"),
    ),
    ("aws:lambda/function:Function", ("deadLetterConfig", "targetArn")),
    ("aws:pipes/pipe:Pipe", ("sourceParameters", "dynamodbStreamParameters", "deadLetterConfig", "arn")),
    ("aws:pipes/pipe:Pipe", ("sourceParameters", "kinesisStreamParameters", "deadLetterConfig", "arn")),
    ("aws:cloudwatch/eventTarget:EventTarget", ("deadLetterConfig", "arn")),
    ("aws:scheduler/schedule:Schedule", ("target", "deadLetterConfig", "arn")),
)
"""What sends its failures to a queue, and where it names the queue, which is thereby a dead letter queue."""


class Queues:
    """The queues of a stack, by URN: a component may have the same name as the queue that it makes."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    @property
    def all(self) -> list[PolicyResource]:
        """Every queue."""
        return self._stack.of_type(QUEUE)

    @cached_property
    def redriven(self) -> set[str]:
        """The queues that have a dead letter queue, by their own redrive policy or by a separate one."""
        own = {queue.urn for queue in self.all if is_set(queue, REDRIVE, QUEUE)}
        return own | {
            queue.urn
            for policy in self._stack.of_type(REDRIVE_POLICY)
            if is_set(policy, REDRIVE, QUEUE)
            for queue in self._stack.referred(policy, ("queueUrl",), QUEUE)
        }

    @cached_property
    def dead_letter(self) -> dict[str, PolicyResource]:
        """The queues that something sends its failures to."""
        found: dict[str, PolicyResource] = {}
        for resource_type, path in FAILURE_DESTINATIONS:
            for sender in self._stack.of_type(resource_type):
                queues = self._stack.referred(sender, path, QUEUE)
                if len(queues) > 1:
                    # A schedule may have a queue for its target, too, and only the work has a redrive policy.
                    queues = [queue for queue in queues if queue.urn not in self.redriven] or queues
                found |= {queue.urn: queue for queue in queues}
        return found

    @cached_property
    def alarms(self) -> dict[str, list[PolicyResource]]:
        """For each queue, the alarms that fire on its depth; at what depth is the user's choice."""
        found: dict[str, list[PolicyResource]] = defaultdict(list)
        for alarm in self._stack.of_type(METRIC_ALARM):
            if not str(known(alarm, "comparisonOperator")).startswith("GreaterThan"):
                continue
            for metric, statistic in _metrics(alarm):
                if (
                    known(alarm, *metric, "namespace") == "AWS/SQS"
                    and known(alarm, *metric, "metricName") == "ApproximateNumberOfMessagesVisible"
                    and known(alarm, *metric, statistic) == "Maximum"
                ):
                    for queue in self._stack.referred(alarm, (*metric, "dimensions", "QueueName"), QUEUE):
                        found[queue.urn].append(alarm)
        return found


def _metrics(alarm: PolicyResource) -> Iterator[tuple[Path, str]]:
    """Where an alarm's metrics stand, its own and its queries', and what the statistic is called there."""
    yield (), "statistic"
    for number in range(len(known(alarm, "metricQueries") or ())):
        yield ("metricQueries", number, "metric"), "stat"
