"""Without a dead letter queue that outlasts it, a message that no reader can handle expires unseen."""

from pulumi_policy import PolicyResource, Severity

from ..kinds import QUEUE, REDRIVE_POLICY, SUBSCRIPTION
from ..queues import REDRIVE, queues_of, retention_seconds, visibility_seconds
from ..rule import Fixes, rule
from ..stack import Resource, Stack, is_set, value


@rule(Severity.HIGH, QUEUE, answers="AwsSolutions-SQS3 SQSRedrivePolicy")
def queue_has_dlq(queue: PolicyResource, stack: Stack) -> Fixes:
    """Every queue that is not itself a dead letter queue has one."""
    queues = queues_of(stack)
    if queue.urn not in queues.redriven and queue.urn not in queues.dead_letter:
        yield (
            "give it a redrive_policy, or an aws.sqs.RedrivePolicy, whose deadLetterTargetArn is the ARN of "
            "a queue with an alarm."
        )


@rule(Severity.HIGH, SUBSCRIPTION, answers="SNSRedrivePolicy")
def subscription_has_dlq(subscription: Resource) -> Fixes:
    """Every subscription of a queue has a dead letter queue for what SNS cannot deliver."""
    if value(subscription, "protocol") == "sqs" and not is_set(subscription, REDRIVE):
        yield "set redrive_policy to a document whose deadLetterTargetArn is a queue's ARN."


@rule(Severity.HIGH, QUEUE, REDRIVE_POLICY)
def dlq_outlasts_source(sender: PolicyResource, stack: Stack) -> Fixes:
    """Every dead letter queue keeps messages for longer than each queue that they come from.

    They keep their age, but on FIFO queues.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    sources = [sender] if sender.resource_type == QUEUE else stack.referred(sender, ("queueUrl",), QUEUE)
    for source in sources:
        for dlq in queues_of(stack).dead_letter_queues(sender):
            kept = retention_seconds(source)
            if retention_seconds(dlq) <= kept and not value(dlq, "fifoQueue"):
                yield (
                    f"set message_retention_seconds of '{dlq.name}' above the {kept:g} s of '{source.name}', "
                    "to 1209600 at most."
                )


@rule(Severity.HIGH, QUEUE)
def receives_fit_retention(queue: Resource) -> Fixes:
    """Every queue keeps a message for longer than its receives take: maxReceiveCount × visibility timeout."""
    yield from _receives_fit(queue, queue)


@rule(Severity.HIGH, REDRIVE_POLICY)
def separate_policy_s_receives_fit_retention(policy: PolicyResource, stack: Stack) -> Fixes:
    """Every queue with an aws.sqs.RedrivePolicy keeps a message for longer than its receives take."""
    for queue in stack.referred(policy, ("queueUrl",), QUEUE):
        yield from _receives_fit(queue, policy)


def _receives_fit(queue: Resource, policy: Resource) -> Fixes:
    receives = int(value(policy, "redrivePolicy", "maxReceiveCount") or 0)
    if receives and receives * visibility_seconds(queue) >= retention_seconds(queue):
        yield (
            f"{receives} receives of {visibility_seconds(queue):g} s take longer than it keeps a message, "
            f"{retention_seconds(queue):g} s: raise message_retention_seconds, or lower one of the others."
        )
