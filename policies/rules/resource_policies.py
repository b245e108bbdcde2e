"""Who may use a queue or a topic, and over what: by a property of theirs, or a resource of its own."""

import json
import re

from pulumi_policy import PolicyResource, Severity

from ..document import RESOURCE_POLICIES, listed, policies_of, statements
from ..kinds import QUEUE, QUEUE_POLICY, SUBSCRIPTION, TOPIC
from ..queues import queues_of
from ..rule import Fixes, Planned, rule
from ..stack import Resource, Stack, UndecidedError, is_set, known, value

QUEUES = (QUEUE, QUEUE_POLICY)
EVERY_ACTION = re.compile(r"(.*:)?[*?]+")
SNS = "sns.amazonaws.com"
PRINCIPALS = ("aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn")
"""What makes of everyone the callers that it names. No service has them."""


def _deny_plain_http(policy: Planned) -> None:
    document = json.loads(policy.props["policy"])
    given = listed(document["Statement"])
    denial = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*" if policy.resource_type in QUEUES else "sns:Publish",
        "Resource": given[0]["Resource"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy.props["policy"] = json.dumps(document | {"Statement": [*given, denial]})


@rule(
    Severity.HIGH, *RESOURCE_POLICIES, answers="AwsSolutions-SQS4 AwsSolutions-SNS3", remedy=_deny_plain_http
)
def tls_only(policy: Resource) -> Fixes:
    """Every policy of a queue or a topic denies what does not come over TLS."""
    needed = ("sqs:SendMessage", "sqs:ReceiveMessage") if policy.resource_type in QUEUES else ("sns:Publish",)
    target = _target(policy)
    denials = [
        each
        for each in statements(policy, "policy")
        if each.denies_plain_http and (target is None or each.is_on(target))
    ]
    if is_set(policy, ("policy",)) and not all(any(each.covers(use) for each in denials) for use in needed):
        yield (
            "add to its policy Effect Deny, Principal *, Condition Bool aws:SecureTransport false, with the "
            f"Action {'sqs:*' if policy.resource_type in QUEUES else 'sns:Publish'}, on its own ARN."
        )


@rule(Severity.HIGH, QUEUE, TOPIC, answers="AwsSolutions-SQS4 AwsSolutions-SNS3")
def has_policy(target: PolicyResource, stack: Stack) -> Fixes:
    """Every queue and every topic has a policy: without one, plain HTTP will do."""
    if not policies_of(stack).get(target.urn):
        kind = "sqs.Queue" if target.resource_type == QUEUE else "sns.Topic"
        yield f"add an aws.{kind}Policy that denies it."


@rule(
    Severity.CRITICAL,
    *RESOURCE_POLICIES,
    answers="CKV_AWS_72 CKV_AWS_168 CKV_AWS_169 CKV_AWS_387 SQS.3 SNS.4",
)
def policy_names_sender(policy: Resource) -> Fixes:
    """No policy of a queue or a topic allows every action, or admits everyone, or a service for just anyone.

    A queue names its sender by `aws:SourceArn`. For a topic the sender's account will do, as for its alarms.
    """
    of_queue = policy.resource_type in QUEUES
    keys = ["aws:sourcearn", *([] if of_queue else ["aws:sourceaccount", "aws:sourceowner"])]
    for statement in (each for each in statements(policy, "policy") if each.allows):
        if any(map(EVERY_ACTION.fullmatch, statement.actions)):
            yield "name the actions that it allows."
        senders = ["everyone"] if statement.is_for_anyone else statement.principals("Service")
        limits = [*keys, *PRINCIPALS] if statement.is_for_anyone else keys
        if senders and not statement.is_limited_by(*limits):
            yield f"add a Condition, ArnEquals aws:SourceArn = the sender's ARN, to {', '.join(senders)}."


@rule(Severity.HIGH, SUBSCRIPTION)
def subscribed_queues_admit_sns(subscription: PolicyResource, stack: Stack) -> Fixes:
    """Every queue that SNS sends to, and its dead letter queue, admit it for the topic: or loss is silent."""
    if value(subscription, "protocol") != "sqs":
        return
    queues = stack.referred(subscription, ("endpoint",), QUEUE)
    if not queues:
        raise UndecidedError("its queue is not in this stack")
    topic = known(subscription, "topic")
    for queue in (*queues, *queues_of(stack).dead_letter_queues(subscription)):
        on_sns = [
            statement
            for policy in policies_of(stack).get(queue.urn, ())
            for statement in statements(policy, "policy")
            if statement.covers("sqs:SendMessage") and statement.is_for(SNS)
        ]
        if any(each.denies_in_any_case for each in on_sns):
            yield f"take from the policy of '{queue.name}' the Deny of sqs:SendMessage: no Allow outdoes it."
            continue
        admitting = [each for each in on_sns if each.allows]
        if not any(topic is None or each.is_met_by("aws:sourcearn", topic) for each in admitting):
            yield (
                f"add an aws.sqs.QueuePolicy to '{queue.name}': Allow sqs:SendMessage to the Service {SNS}, "
                "Condition ArnEquals aws:SourceArn = the topic's ARN."
            )


def _target(policy: Resource) -> str | None:
    """The name of the queue or the topic that a policy is of; None while it is not known."""
    of = known(policy, "queueUrl") or known(policy, "arn") or known(policy, "name")
    return re.split("[:/]", of)[-1] if of else None
