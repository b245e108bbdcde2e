import json
from typing import Any

import pytest

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.guarded_queue import GuardedQueue, GuardedQueueArgs
from components.task_slots import TaskSlots, TaskSlotsArgs, slot_count
from tests.program.conftest import evaluate

ALARMS, CHANGES = "arn:aws:sns:eu-south-1:123456789012:alarms", "arn:aws:sns:eu-south-1:123456789012:changes"
QUEUE = "aws:sqs/queue:Queue"
POLICY = "aws:sqs/queuePolicy:QueuePolicy"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
NUMBERS = {"retention_seconds": 600, "visibility_timeout_seconds": 30, "max_receives": 5}


def arn(queue: str) -> str:
    return f"arn:aws:sqs:eu-south-1:123456789012:{queue}"


def tls_only(queue: str) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": arn(queue),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def may_send(service: str, source: str, queue: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn(queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": source}},
    }


def from_changes(queue: str) -> dict[str, Any]:
    return may_send("sns.amazonaws.com", CHANGES, queue)


def test_a_dead_letter_queue_is_a_queue_with_its_policy_and_its_alarm() -> None:
    made = evaluate(lambda: DeadLetterQueue("failed", DeadLetterQueueArgs(alarm_topic_arn=ALARMS)))

    assert made.children == {
        ("statecast-test", "statecast:components:DeadLetterQueue", "failed"),
        ("failed", QUEUE, "failed"),
        ("failed", POLICY, "failed-policy"),
        ("failed", ALARM, "failed-alarm"),
    }
    # Fourteen days, the longest there is: it must outlast any source.
    assert made[QUEUE, "failed"].inputs == {
        "messageRetentionSeconds": 1_209_600,
        "maxMessageSize": 1_048_576,
        "sqsManagedSseEnabled": True,
    }
    assert made[POLICY, "failed-policy"].inputs["queueUrl"] == "https://sqs/failed"
    assert json.loads(made[POLICY, "failed-policy"].inputs["policy"]) == {
        "Version": "2012-10-17",
        "Statement": [tls_only("failed")],
    }
    assert made[ALARM, "failed-alarm"].inputs == {
        "alarmDescription": "Messages that could not be handled wait here.",
        "namespace": "AWS/SQS",
        "metricName": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": "failed"},
        "statistic": "Maximum",
        "period": 60,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 0,
        "treatMissingData": "notBreaching",
        "alarmActions": [ALARMS],
        "okActions": [ALARMS],
    }


def test_a_topic_may_send_what_it_could_not_deliver_to_a_dead_letter_queue() -> None:
    args = DeadLetterQueueArgs(alarm_topic_arn=ALARMS, sending_topic_arn=CHANGES)
    made = evaluate(lambda: DeadLetterQueue("failed", args))

    policy = json.loads(made[POLICY, "failed-policy"].inputs["policy"])
    assert policy["Statement"] == [tls_only("failed"), from_changes("failed")]


def test_a_rule_may_send_what_it_could_not_deliver_to_a_dead_letter_queue() -> None:
    rule = "arn:aws:events:eu-south-1:123456789012:rule/bus/changes"
    args = DeadLetterQueueArgs(alarm_topic_arn=ALARMS, sending_rule_arns=[rule])
    made = evaluate(lambda: DeadLetterQueue("failed", args))

    policy = json.loads(made[POLICY, "failed-policy"].inputs["policy"])
    assert policy["Statement"] == [tls_only("failed"), may_send("events.amazonaws.com", rule, "failed")]


def test_a_guarded_queue_gives_up_into_a_dead_letter_queue() -> None:
    args = GuardedQueueArgs(topic_arn=CHANGES, alarm_topic_arn=ALARMS, **NUMBERS)
    made = evaluate(lambda: GuardedQueue("inbox", args))

    assert made.children == {
        ("statecast-test", "statecast:components:GuardedQueue", "inbox"),
        ("inbox", "statecast:components:DeadLetterQueue", "inbox-dlq"),
        ("inbox-dlq", QUEUE, "inbox-dlq"),
        ("inbox-dlq", POLICY, "inbox-dlq-policy"),
        ("inbox-dlq", ALARM, "inbox-dlq-alarm"),
        ("inbox", QUEUE, "inbox"),
        ("inbox", POLICY, "inbox-policy"),
    }
    queue = dict(made[QUEUE, "inbox"].inputs)
    assert json.loads(queue.pop("redrivePolicy")) == {
        "deadLetterTargetArn": arn("inbox-dlq"),
        "maxReceiveCount": 5,
    }
    assert queue == {
        "messageRetentionSeconds": 600,
        "maxMessageSize": 1_048_576,
        "visibilityTimeoutSeconds": 30,
        "sqsManagedSseEnabled": True,
    }
    for name in ("inbox", "inbox-dlq"):
        policy = json.loads(made[POLICY, f"{name}-policy"].inputs["policy"])
        assert policy["Statement"] == [tls_only(name), from_changes(name)]


def test_a_guarded_queue_of_no_topic_admits_none() -> None:
    args = GuardedQueueArgs(topic_arn=None, alarm_topic_arn=ALARMS, **NUMBERS)
    made = evaluate(lambda: GuardedQueue("inbox", args))

    for name in ("inbox", "inbox-dlq"):
        policy = json.loads(made[POLICY, f"{name}-policy"].inputs["policy"])
        assert policy["Statement"] == [tls_only(name)]


def test_a_dead_letter_queue_outlasts_its_source() -> None:
    args = GuardedQueueArgs(topic_arn=CHANGES, alarm_topic_arn=ALARMS, **NUMBERS)
    made = evaluate(lambda: GuardedQueue("inbox", args))

    retention = "messageRetentionSeconds"
    assert made[QUEUE, "inbox-dlq"].inputs[retention] > made[QUEUE, "inbox"].inputs[retention]


def test_a_slot_is_a_guarded_queue_subscribed_after_its_policies() -> None:
    args = TaskSlotsArgs(count=2, topic_arn=CHANGES, alarm_topic_arn=ALARMS, **NUMBERS)
    slots: list[TaskSlots] = []
    made = evaluate(lambda: slots.append(TaskSlots("slot", args)))

    assert made.types == {QUEUE: 4, POLICY: 4, ALARM: 2, "aws:sns/topicSubscription:TopicSubscription": 2}
    for name in ("slot-00", "slot-01"):
        subscription = made["aws:sns/topicSubscription:TopicSubscription", f"{name}-subscription"]
        inputs = dict(subscription.inputs)
        assert json.loads(inputs.pop("redrivePolicy")) == {"deadLetterTargetArn": arn(f"{name}-dlq")}
        # No rawMessageDelivery: the envelope carries SNS's timestamp.
        assert inputs == {"topic": CHANGES, "protocol": "sqs", "endpoint": arn(name)}
        assert {
            made[POLICY, f"{name}-policy"].urn,
            made[POLICY, f"{name}-dlq-policy"].urn,
        } <= subscription.options.depends_on


@pytest.mark.parametrize(
    ("tasks_max", "percent", "slots"), [(20, 200, 40), (20, 100, 20), (3, 150, 5), (1, 101, 2), (1, 100, 1)]
)
def test_there_is_a_slot_for_every_task_of_a_rolling_deployment(
    tasks_max: int, percent: int, slots: int
) -> None:
    assert slot_count(tasks_max, percent) == slots
