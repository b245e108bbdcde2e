import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pulumi_policy import Policy, PolicyResource, StackValidationArgs
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.queues import METRIC_ALARM, QUEUE, Queues
from policies.rules import RULES
from policies.stack import Stack, is_set, known

TOPIC = "aws:sns/topic:Topic"
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
    """A queue with its dead letter queue and alarm, every value known, as `up` and `refresh` show them."""
    target = json.dumps({"deadLetterTargetArn": f"{ARN}dead-{number}", "maxReceiveCount": 5})
    return [
        resource(QUEUE, f"dlq-{number}", {"name": f"dead-{number}", "arn": f"{ARN}dead-{number}"}),
        resource(
            QUEUE,
            f"queue-{number}",
            {"name": f"orders-{number}", "redrivePolicy": target if guarded else ""},
        ),
        resource(
            METRIC_ALARM,
            f"alarm-{number}",
            {
                "namespace": "AWS/SQS",
                "metricName": "ApproximateNumberOfMessagesVisible",
                "dimensions": {"QueueName": f"dead-{number}"},
                "statistic": "Maximum",
                "comparisonOperator": "GreaterThanThreshold",
                "threshold": 0.0,
                "alarmActions": ["arn:aws:sns:eu-south-1:123456789012:alarms"],
            },
        ),
    ]


def blamed(rule: Policy, resources: list[PolicyResource]) -> list[str]:
    found: list[str] = []
    rule.validate(StackValidationArgs(resources), lambda _, urn: found.append(str(urn).split("::")[-1]))
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_deployed_stack_with_every_value_known_passes(rule: Policy) -> None:
    assert blamed(rule, deployed(1) + deployed(2)) == []


def test_a_deployed_queue_whose_redrive_policy_was_emptied_is_blamed_and_so_is_what_was_its_dlq() -> None:
    assert blamed(RULES[0], deployed(1, guarded=False)) == ["dlq-1", "queue-1"]


def test_a_known_value_is_worth_more_than_what_it_was_made_from() -> None:
    other = resource(QUEUE, "other", {"name": "other"})
    dlq, queue, _ = deployed(1)
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


@pytest.mark.parametrize(
    ("path", "value"),
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
def test_a_value_is_found_at_its_path_or_not_at_all(path: tuple[str | int, ...], value: object) -> None:
    props = {
        "document": json.dumps({"list": [0, {"key": "deep"}]}),
        "text": "no document",
        "number": 1.0,
        "nothing": None,
        "unknown": UNKNOWN_STRING_VALUE,
        "block": {"unknown": UNKNOWN_STRING_VALUE},
    }
    assert known(resource("type", "r", props), *path) == value


class Counted(dict[str, Any]):
    """Properties that count how often they are read."""

    reads = 0

    def __getitem__(self, key: str) -> Any:
        Counted.reads += 1
        return super().__getitem__(key)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_work_of_a_rule_grows_no_faster_than_the_stack(rule: Policy) -> None:
    def reads(size: int) -> int:
        resources = [each for number in range(size) for each in deployed(number)]
        for each in resources:
            each.props = Counted(each.props)
        Counted.reads = 0
        assert blamed(rule, resources) == []
        return Counted.reads

    assert reads(400) <= 2 * reads(200)
