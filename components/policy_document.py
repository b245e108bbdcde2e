"""IAM policy documents, from statements."""

from collections.abc import Mapping, Sequence

import pulumi

from components.json_text import json_text

Statement = Mapping[str, object]


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy document, JSON, of statements whose values may be outputs."""
    return json_text({"Version": "2012-10-17", "Statement": list(statements)})


def allow(
    actions: Sequence[str], resources: object, condition: Mapping[str, object] | None = None
) -> Statement:
    """Allow a role these actions on these resources (an ARN or a list of ARNs), on a condition if given."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def trust(service: str, condition: Mapping[str, object]) -> pulumi.Output[str]:
    """The document by which a service may assume a role on a condition."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
            "Condition": condition,
        }
    )


def allow_topic_to_send(topic_arn: pulumi.Input[str], queue_arn: pulumi.Input[str]) -> Statement:
    """Allow one topic, and no other, to send to a queue."""
    return _allow_to_send("sns.amazonaws.com", topic_arn, queue_arn)


def allow_rule_to_send(rule_arn: pulumi.Input[str], queue_arn: pulumi.Input[str]) -> Statement:
    """Allow one rule of an event bus, and no other, to send to a queue."""
    return _allow_to_send("events.amazonaws.com", rule_arn, queue_arn)


def _allow_to_send(service: str, source_arn: pulumi.Input[str], queue_arn: pulumi.Input[str]) -> Statement:
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
    }


def deny_plain_http(action: str, resources: object) -> Statement:
    """Deny everyone an action on a resource (an ARN or a list of ARNs) that does not come over TLS."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resources,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
