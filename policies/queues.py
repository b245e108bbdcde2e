"""Which queues are dead letter queues, which queues have one, and which alarms watch them."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property, lru_cache

from pulumi_policy import PolicyResource

from .kinds import (
    FUNCTION,
    INVOCATION,
    METRIC_ALARM,
    PIPE,
    QUEUE,
    REDRIVE_POLICY,
    RULE_TARGET,
    SCHEDULE,
    STREAM_MAPPING,
    SUBSCRIPTION,
)
from .stack import Path, Resource, Stack, UndecidedError, is_set, known, value

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
DEFAULT_RETENTION_SECONDS = 4 * 24 * 3600
DEFAULT_VISIBILITY_SECONDS = 30

REDRIVE: Path = ("redrivePolicy", "deadLetterTargetArn")
DYNAMODB: Path = ("sourceParameters", "dynamodbStreamParameters")
KINESIS: Path = ("sourceParameters", "kinesisStreamParameters")

FAILURE_DESTINATIONS: tuple[tuple[str, Path], ...] = (
    (QUEUE, REDRIVE),
    (REDRIVE_POLICY, REDRIVE),
    (SUBSCRIPTION, REDRIVE),
    (STREAM_MAPPING, ("destinationConfig", "onFailure", "destinationArn")),
    (INVOCATION, ("destinationConfig", "onFailure", "destination")),
    (FUNCTION, ("deadLetterConfig", "targetArn")),
    (PIPE, (*DYNAMODB, "deadLetterConfig", "arn")),
    (PIPE, (*KINESIS, "deadLetterConfig", "arn")),
    (RULE_TARGET, ("deadLetterConfig", "arn")),
    (SCHEDULE, ("target", "deadLetterConfig", "arn")),
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

    @cached_property
    def dead_letter_alarms(self) -> set[str]:
        """The alarms that fire on the depth of a dead letter queue."""
        return {alarm.urn for queue in self.dead_letter for alarm in self.alarms.get(queue, ())}

    def dead_letter_queues(self, sender: PolicyResource) -> list[PolicyResource]:
        """Where a queue, an `aws.sqs.RedrivePolicy` or a subscription sends its failures.

        Raises UndecidedError where that is outside the stack.
        """
        found = self._stack.referred(sender, REDRIVE, QUEUE)
        if not found and is_set(sender, REDRIVE):
            raise UndecidedError("its dead letter queue is not in this stack")
        return found


def retention_seconds(queue: Resource) -> float:
    """How long a queue keeps a message. Raises UndecidedError where that is not known yet."""
    return float(value(queue, "messageRetentionSeconds") or DEFAULT_RETENTION_SECONDS)


def visibility_seconds(queue: Resource) -> float:
    """How long a queue hides a received message. Raises UndecidedError where that is not known yet."""
    seconds = value(queue, "visibilityTimeoutSeconds")
    return float(DEFAULT_VISIBILITY_SECONDS if seconds is None else seconds)


queues_of = lru_cache(maxsize=1)(Queues)
"""The queues of a stack, worked out once for all of its resources."""


def _metrics(alarm: PolicyResource) -> Iterator[tuple[Path, str]]:
    """Where an alarm's metric may stand, its own or a query's, and what the statistic is called there.

    Of its queries the alarm is on the one that returns data: the others are what that one is made of.
    """
    yield (), "statistic"
    for number in range(len(known(alarm, "metricQueries") or ())):
        if known(alarm, "metricQueries", number, "returnData"):
            yield ("metricQueries", number, "metric"), "stat"
