import json
import threading
from typing import Any

import pytest

from local.alarms import Alarms, pause, state, watched_queue
from local.emulator import Account
from tests.emulation import eventually

ALARM: dict[str, Any] = {
    "Namespace": "AWS/SQS",
    "MetricName": "ApproximateNumberOfMessagesVisible",
    "Dimensions": [{"Name": "QueueName", "Value": "slot-00-dlq"}],
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 0.0,
}


def test_an_alarm_on_a_queue_s_depth_is_watched() -> None:
    assert watched_queue(ALARM) == "slot-00-dlq"


@pytest.mark.parametrize(
    "change",
    [
        {"Namespace": "AWS/Lambda"},
        {"MetricName": "ApproximateAgeOfOldestMessage"},
        {"Dimensions": []},
        {"Dimensions": [{"Name": "TopicName", "Value": "slot-00-dlq"}]},
    ],
)
def test_any_other_alarm_is_left_alone(change: dict[str, Any]) -> None:
    assert watched_queue({**ALARM, **change}) is None


@pytest.mark.parametrize(
    ("comparison", "states"),
    [
        ("GreaterThanThreshold", ["OK", "OK", "ALARM"]),
        ("GreaterThanOrEqualToThreshold", ["OK", "ALARM", "ALARM"]),
        ("LessThanThreshold", ["ALARM", "OK", "OK"]),
        ("LessThanOrEqualToThreshold", ["ALARM", "ALARM", "OK"]),
    ],
)
def test_the_state_is_what_the_comparison_gives(comparison: str, states: list[str]) -> None:
    alarm = {**ALARM, "ComparisonOperator": comparison, "Threshold": 5.0}
    assert [state(alarm, depth) for depth in (4, 5, 6)] == states


@pytest.mark.parametrize(
    ("alarms", "looks_per_second"), [(0, 1), (1, 1), (4, 4), (10, 10), (40, 10), (400, 10)]
)
def test_alarms_are_looked_at_once_a_second_but_ten_at_most(alarms: int, looks_per_second: int) -> None:
    assert 1 / pause(alarms) == pytest.approx(looks_per_second)


@pytest.mark.emulator
def test_a_message_in_a_dead_letter_queue_sets_off_its_alarm_and_the_alarm_s_action(account: Account) -> None:
    sqs, sns, cloudwatch = account.client("sqs"), account.client("sns"), account.client("cloudwatch")
    dead_letters = sqs.create_queue(QueueName="slot-00-dlq")["QueueUrl"]
    heard = sqs.create_queue(QueueName="heard")["QueueUrl"]
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn(sqs, heard))
    alarm = {**ALARM, "EvaluationPeriods": 1, "Period": 60, "Statistic": "Maximum", "AlarmActions": [topic]}
    cloudwatch.put_metric_alarm(AlarmName="slot-00-dlq", **alarm)
    cloudwatch.put_metric_alarm(
        AlarmName="gone", **{**alarm, "Dimensions": [{"Name": "QueueName", "Value": "deleted"}]}
    )
    alarms = Alarms(account, threading.Event())

    def states() -> dict[str, str]:
        found = cloudwatch.describe_alarms(AlarmNames=["slot-00-dlq", "gone"])["MetricAlarms"]
        return {one["AlarmName"]: one["StateValue"] for one in found}

    alarms.round()
    assert states() == {"slot-00-dlq": "OK", "gone": "INSUFFICIENT_DATA"}
    sqs.send_message(QueueUrl=dead_letters, MessageBody="poison")
    alarms.round()
    assert states()["slot-00-dlq"] == "ALARM"
    message = eventually(lambda: sqs.receive_message(QueueUrl=heard).get("Messages"))[0]
    notice = json.loads(json.loads(message["Body"])["Message"])
    assert (notice["AlarmName"], notice["NewStateValue"]) == ("slot-00-dlq", "ALARM")
    assert notice["NewStateReason"] == "slot-00-dlq holds 1 messages"
    sqs.purge_queue(QueueUrl=dead_letters)
    alarms.round()
    assert states()["slot-00-dlq"] == "OK"
    assert not sqs.receive_message(QueueUrl=heard).get("Messages"), "an alarm's action fires on ALARM only"


def queue_arn(sqs: Any, url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
