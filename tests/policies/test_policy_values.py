import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pulumi_policy import PolicyResource, ResourceValidationArgs
from pulumi_policy.proxy import UNKNOWN_NUMBER_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.document import Statement
from policies.kinds import (
    FUNCTION,
    METRIC_ALARM,
    PIPE,
    QUEUE,
    QUEUE_POLICY,
    STREAM_MAPPING,
    SUBSCRIPTION,
    TABLE,
    TOPIC,
    TOPIC_POLICY,
)
from policies.queues import Queues
from policies.rule import Rule, policies
from policies.rules import RULES
from policies.rules.dead_letter_queues import queue_has_dlq
from policies.rules.resource_policies import tls_only
from policies.rules.streams import stream_reader_gives_up
from policies.stack import Stack, UndecidedError, is_set, known, value

ARN = "arn:aws:sqs:eu-south-1:123456789012:"


def resource(
    resource_type: str,
    name: str,
    props: Mapping[str, Any],
    made_from: Mapping[str, Sequence[PolicyResource]] | None = None,
) -> PolicyResource:
    return PolicyResource(
        resource_type,
        unknown_checking_proxy(dict(props)),
        f"urn:pulumi:test::scratch::{resource_type}::{name}",
        name,
        None,  # type: ignore[arg-type]  no rule reads a resource's options
        None,
        None,
        [],
        {key: list(sources) for key, sources in (made_from or {}).items()},
    )


def deployed(number: int, *, guarded: bool = True) -> list[PolicyResource]:
    """What a change passes on its way to a queue, every value known, as `up` and `refresh` show them."""
    dead, orders, table = f"{ARN}dead-{number}", f"{ARN}orders-{number}", f"table-{number}"
    topic, function = (
        f"arn:aws:sns:eu-south-1:1:changes-{number}",
        f"arn:aws:lambda:eu-south-1:1:function:f-{number}",
    )
    target = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 5})
    failures = {"onFailure": {"destinationArn": dead}}
    bounds = {
        "maximumRetryAttempts": 3.0,
        "maximumRecordAgeInSeconds": 60.0,
        "startingPosition": "TRIM_HORIZON",
    }
    stream = f"arn:aws:dynamodb:eu-south-1:1:table/{table}/stream/2026-01-01T00:00:00.000"
    policy = json.dumps(
        {
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "*",
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
                },
            ]
        }
    )
    made: list[tuple[str, str, dict[str, Any]]] = [
        (
            QUEUE,
            "dlq",
            {
                "name": f"dead-{number}",
                "arn": dead,
                "messageRetentionSeconds": 1209600.0,
                "sqsManagedSseEnabled": True,
                "policy": policy,
            },
        ),
        (
            QUEUE,
            "queue",
            {
                "name": f"orders-{number}",
                "redrivePolicy": target if guarded else "",
                "kmsMasterKeyId": "alias/own",
            },
        ),
        (QUEUE_POLICY, "policy", {"queueUrl": f"https://sqs/1/orders-{number}", "policy": policy}),
        (
            METRIC_ALARM,
            "alarm",
            {
                "namespace": "AWS/SQS",
                "metricName": "ApproximateNumberOfMessagesVisible",
                "dimensions": {"QueueName": f"dead-{number}"},
                "statistic": "Maximum",
                "comparisonOperator": "GreaterThanThreshold",
                "threshold": 0.0,
                "treatMissingData": "notBreaching",
                "alarmActions": [topic],
            },
        ),
        (TOPIC, "topic", {"name": f"changes-{number}", "kmsMasterKeyId": "alias/own", "policy": policy}),
        (
            SUBSCRIPTION,
            "subscription",
            {"topic": topic, "protocol": "sqs", "endpoint": orders, "redrivePolicy": target},
        ),
        (
            TABLE,
            "table",
            {"name": table, "pointInTimeRecovery": {"enabled": True}, "deletionProtectionEnabled": True},
        ),
        (FUNCTION, "function", {"name": f"f-{number}", "reservedConcurrentExecutions": -1.0, "timeout": 5.0}),
        (
            STREAM_MAPPING,
            "mapping",
            {"functionName": f"{function}:live", "eventSourceArn": stream, "destinationConfig": failures}
            | bounds,
        ),
        (STREAM_MAPPING, "reader", {"functionName": function, "eventSourceArn": orders}),
        (
            PIPE,
            "pipe",
            {
                "source": stream,
                "sourceParameters": {
                    "dynamodbStreamParameters": bounds | {"deadLetterConfig": {"arn": dead}}
                },
            },
        ),
    ]
    return [resource(resource_type, f"{name}-{number}", props) for resource_type, name, props in made]


def blamed(rule: Rule, resources: list[PolicyResource]) -> list[str]:
    judged = list(rule.judge_all(Stack(resources), {}))
    assert all(isinstance(fix, str) for _, fix in judged), judged
    return [resource.name for resource, _ in judged]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_deployed_stack_with_every_value_known_passes(rule: Rule) -> None:
    assert blamed(rule, deployed(1) + deployed(2)) == []


def test_a_deployed_queue_whose_redrive_policy_was_emptied_is_blamed() -> None:
    assert blamed(queue_has_dlq, deployed(1, guarded=False)) == ["queue-1"]


@pytest.mark.parametrize(("kind", "action"), [(QUEUE_POLICY, "sqs:*"), (TOPIC_POLICY, "sns:Publish")])
def test_the_denial_that_is_added_is_of_what_the_policy_is_of(kind: str, action: str) -> None:
    allow = {"Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "sqs:SendMessage", "Resource": "*"}
    policy = planned({"policy": json.dumps({"Statement": allow})}, kind)
    assert tls_only.remedy
    tls_only.remedy(policy)
    kept, denial = json.loads(policy.props["policy"])["Statement"]
    assert (kept, denial["Action"], denial["Resource"]) == (allow, action, "*")
    assert list(tls_only.judge(policy, {})) == []


def test_all_but_nothing_is_every_action() -> None:
    statement = Statement({"Effect": "Allow", "NotAction": []})
    assert statement.actions == ["*"]
    assert statement.covers("sqs:SendMessage")


def test_a_known_value_is_worth_more_than_what_it_was_made_from() -> None:
    other = resource(QUEUE, "other", {"name": "other"})
    dlq, queue, *_ = deployed(1)
    queue.property_dependencies = {"redrivePolicy": [other]}
    assert list(Queues(Stack([other, dlq, queue])).dead_letter.values()) == [dlq]


def test_unknown_and_made_from_nothing_is_not_set() -> None:
    queue = resource(QUEUE, "queue", {"redrivePolicy": UNKNOWN_STRING_VALUE})
    assert not is_set(queue, ("redrivePolicy", "deadLetterTargetArn"), QUEUE)


def test_unknown_counts_only_if_it_is_made_from_the_right_type() -> None:
    topic, dlq = resource(TOPIC, "topic", {}), resource(QUEUE, "dlq", {})
    unknown = {"redrivePolicy": UNKNOWN_STRING_VALUE}
    assert not is_set(resource(QUEUE, "a", unknown, {"redrivePolicy": [topic]}), ("redrivePolicy",), QUEUE)
    assert is_set(resource(QUEUE, "b", unknown, {"redrivePolicy": [topic, dlq]}), ("redrivePolicy",), QUEUE)


def test_what_is_left_out_of_a_known_block_is_not_set_whatever_the_rest_is_made_from() -> None:
    queue = resource(QUEUE, "queue", {})
    schedule = resource("schedule", "s", {"target": {"arn": UNKNOWN_STRING_VALUE}}, {"target": [queue]})
    assert not is_set(schedule, ("target", "deadLetterConfig", "arn"), QUEUE)
    assert is_set(schedule, ("target", "arn"), QUEUE)


def planned(props: Mapping[str, Any], resource_type: str = QUEUE) -> ResourceValidationArgs:
    """A resource as a rule on one resource sees it: without what it is made from."""
    checked = unknown_checking_proxy(dict(props))
    return ResourceValidationArgs(resource_type, checked, "urn", "planned", None, None)  # type: ignore[arg-type]


def test_an_input_that_is_not_known_yet_is_set_and_decides_nothing() -> None:
    queue = planned({"redrivePolicy": UNKNOWN_STRING_VALUE})
    assert is_set(queue, ("redrivePolicy", "deadLetterTargetArn"))
    with pytest.raises(UndecidedError, match="redrivePolicy is not known before it is made"):
        value(queue, "redrivePolicy", "maxReceiveCount")


def test_a_fault_is_told_even_if_the_rest_is_not_known_yet() -> None:
    mapping = planned(
        {
            "startingPosition": "TRIM_HORIZON",
            "maximumRetryAttempts": -1,
            "maximumRecordAgeInSeconds": UNKNOWN_NUMBER_VALUE,
        },
        STREAM_MAPPING,
    )
    told: list[str] = []
    (policy, _) = policies([stream_reader_gives_up])
    policy.validate(mapping, lambda message, _: told.append(message))
    assert told == ["'planned': set maximum_retry_attempts, to 0 or more."]


def test_an_output_that_is_unknown_decides_nothing_if_it_is_made_from_something() -> None:
    queue = resource(QUEUE, "queue", {"policy": UNKNOWN_STRING_VALUE})
    assert value(queue, "policy") is None
    queue.property_dependencies = {"policy": [resource(TOPIC, "topic", {})]}
    with pytest.raises(UndecidedError, match="policy is not known before it is made"):
        value(queue, "policy")


def test_what_a_remediation_is_given_for_an_unknown_value_is_unknown_too() -> None:
    queue = ResourceValidationArgs(QUEUE, {"policy": UNKNOWN_STRING_VALUE}, "urn", "queue", None, None)  # type: ignore[arg-type]
    with pytest.raises(UndecidedError):
        value(queue, "policy")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("document", "list", 1, "key"), "deep"),
        (("document", "list", 2), None),
        (("document", "missing"), None),
        (("text", "key"), None),
        (("number", "key"), None),
        (("nothing", "key"), None),
        (("unknown",), None),
        (("block", "unknown"), None),
    ],
)
def test_a_value_is_found_at_its_path_or_not_at_all(path: tuple[str | int, ...], expected: object) -> None:
    props = {
        "document": json.dumps({"list": [0, {"key": "deep"}]}),
        "text": "no document",
        "number": 1.0,
        "nothing": None,
        "unknown": UNKNOWN_STRING_VALUE,
        "block": {"unknown": UNKNOWN_STRING_VALUE},
    }
    assert known(resource("type", "r", props), *path) == expected


class Counted(dict[str, Any]):
    """Properties that count how often they are read."""

    reads = 0

    def __getitem__(self, key: str) -> Any:
        Counted.reads += 1
        return super().__getitem__(key)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_work_of_a_rule_grows_no_faster_than_the_stack(rule: Rule) -> None:
    def reads(size: int) -> int:
        resources = [each for number in range(size) for each in deployed(number)]
        for each in resources:
            each.props = Counted(each.props)
        Counted.reads = 0
        assert blamed(rule, resources) == []
        return Counted.reads

    assert reads(400) <= 2 * reads(200)
