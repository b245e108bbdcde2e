"""Encryption at rest, asked for in so many words. DynamoDB encrypts every table without being asked.

A queue's remedy is SSE-SQS, which costs nothing and needs no grant. A topic has none that is safe: whoever
publishes to it must be granted the use of its key.
"""

from functools import lru_cache

from pulumi_policy import PolicyResource, Severity

from ..kinds import COMPOSITE_ALARM, METRIC_ALARM, QUEUE, SUBSCRIPTION, TOPIC
from ..queues import REDRIVE
from ..rule import Fixes, Planned, rule
from ..stack import Resource, Stack, is_set, known, value


def _encrypt(queue: Planned) -> None:
    queue.props["sqsManagedSseEnabled"] = True


@rule(Severity.HIGH, QUEUE, answers="AwsSolutions-SQS2 CKV_AWS_27 SQS.1", remedy=_encrypt)
def queue_is_encrypted(queue: Resource) -> Fixes:
    """Every queue is encrypted, by SSE-SQS or by a key."""
    if not is_set(queue, ("kmsMasterKeyId",)) and not value(queue, "sqsManagedSseEnabled"):
        yield "set sqs_managed_sse_enabled to True, or a kms_master_key_id."


@rule(Severity.HIGH, TOPIC, answers="SNSEncryptedKMS CKV_AWS_26 SNS.1")
def topic_is_encrypted(topic: Resource) -> Fixes:
    """Every topic is encrypted by a key."""
    if not is_set(topic, ("kmsMasterKeyId",)):
        yield "set kms_master_key_id, to a key that its publishers may use: alias/aws/sns if all are roles."


@rule(Severity.HIGH, QUEUE, TOPIC)
def key_admits_sender(target: PolicyResource, stack: Stack) -> Fixes:
    """No queue that SNS sends to, and no topic that an alarm tells, is under the key that AWS manages.

    Its policy admits no service. https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    if target.urn in _reached_by_services(stack):
        key = str(known(target, "kmsMasterKeyId"))
        if key.endswith("alias/aws/sqs"):
            yield "SNS cannot use its key: set sqs_managed_sse_enabled instead, or a key that admits SNS."
        if key.endswith("alias/aws/sns"):
            yield "alarms cannot use its key: set one that grants cloudwatch.amazonaws.com its use."


@lru_cache(maxsize=1)
def _reached_by_services(stack: Stack) -> set[str]:
    ways = [(each, path, QUEUE) for each in stack.of_type(SUBSCRIPTION) for path in (("endpoint",), REDRIVE)]
    ways += [
        (alarm, (actions, number), TOPIC)
        for alarm in stack.of_type(METRIC_ALARM, COMPOSITE_ALARM)
        for actions in ("alarmActions", "okActions", "insufficientDataActions")
        for number in range(len(known(alarm, actions) or "?"))
    ]
    return {target.urn for way in ways for target in stack.referred(*way)}
