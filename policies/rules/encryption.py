"""Encryption at rest, asked for in so many words. DynamoDB encrypts every table without being asked.

A queue's remedy is SSE-SQS, which costs nothing and needs no grant. A topic has none that is safe: whoever
publishes to it must be granted the use of its key.
"""

from functools import lru_cache

from pulumi_policy import PolicyResource, Severity

from ..document import policies_of, statements
from ..kinds import COMPOSITE_ALARM, KEY, METRIC_ALARM, QUEUE, SUBSCRIPTION, TOPIC
from ..queues import REDRIVE
from ..rule import Fixes, Planned, rule
from ..stack import Resource, Stack, is_set, known, value

SENDERS = {
    QUEUE: ("alias/aws/sqs", "sns.amazonaws.com"),
    TOPIC: ("alias/aws/sns", "cloudwatch.amazonaws.com"),
}
"""The key that AWS manages, and who sends."""
USES = ("kms:Decrypt", "kms:GenerateDataKey")


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
    """The key of every queue that SNS sends to, and of every topic that an alarm tells, admits the sender.

    That which AWS manages admits no service, nor does one without a policy of its own: what is sent is lost
    in silence. https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    if target.urn not in _reached_by_services(stack):
        return
    managed, sender = SENDERS[target.resource_type]
    grant = f"allow {sender} {' and '.join(USES)} in its key's policy"
    if str(known(target, "kmsMasterKeyId")).endswith(managed):
        instead = "set sqs_managed_sse_enabled instead, or" if target.resource_type == QUEUE else "set"
        yield f"{sender} cannot use its key: {instead} a key of your own, and {grant}."
    for key in stack.referred(target, ("kmsMasterKeyId",), KEY):
        if not _admits(key, sender, stack):
            yield f"{sender} cannot use its key: {grant}."


def _admits(key: PolicyResource, sender: str, stack: Stack) -> bool:
    allowed = [
        statement
        for policy in policies_of(stack).get(key.urn, ())
        for statement in statements(policy, "policy")
        if statement.allows and statement.is_for(sender)
    ]
    return all(any(statement.covers(use) for statement in allowed) for use in USES)


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
