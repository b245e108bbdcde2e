"""Stand-in for the queue depths that SQS gives CloudWatch: the emulator has no such metric.

It looks at each alarm on ApproximateNumberOfMessagesVisible, compares the queue's depth with the threshold
and sets the alarm's state when it differs; the emulator then runs the alarm's actions. CloudWatch does so
once a minute. In the emulator a message moves to a dead-letter queue when its queue is next received from.
"""

import operator
import threading
from typing import Any

from local.emulator import Account

METRIC = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
LOOKS_PER_SECOND = 10

COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def watched_queue(alarm: dict[str, Any]) -> str | None:
    """The name of the queue whose depth the alarm is on; None when it is on something else."""
    if (alarm.get("Namespace"), alarm.get("MetricName")) != METRIC:
        return None
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
    return dimensions.get("QueueName")


def state(alarm: dict[str, Any], depth: int) -> str:
    """ALARM or OK, as the alarm's comparison gives it for `depth` messages."""
    breached = COMPARISONS[alarm["ComparisonOperator"]](depth, alarm["Threshold"])
    return "ALARM" if breached else "OK"


def pause(alarms: int) -> float:
    """Seconds from one alarm to the next: each is looked at once a second, but not more than ten in all.

    So 40 slots are gone through in four seconds, and any number costs ten small calls a second.
    """
    return 1 / min(max(alarms, 1), LOOKS_PER_SECOND)


class Alarms:
    """Keeps the state of the alarms on queue depths."""

    def __init__(self, account: Account, stopped: threading.Event) -> None:
        self._cloudwatch = account.client("cloudwatch")
        self._sqs = account.client("sqs")
        self._stopped = stopped

    def round(self) -> None:
        """Look at each alarm once, for a second or longer."""
        pages = self._cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
        alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
        watched = [(alarm, queue) for alarm in alarms if (queue := watched_queue(alarm))]
        for alarm, queue in watched:
            self._look(alarm, queue)
            if self._stopped.wait(pause(len(watched))):
                return
        if not watched:
            self._stopped.wait(pause(0))

    def _look(self, alarm: dict[str, Any], queue: str) -> None:
        name = "ApproximateNumberOfMessages"
        try:
            url = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        except self._sqs.exceptions.QueueDoesNotExist:
            return  # an alarm may outlive its queue
        depth = int(answer["Attributes"][name])
        if state(alarm, depth) != alarm["StateValue"]:
            self._cloudwatch.set_alarm_state(
                AlarmName=alarm["AlarmName"],
                StateValue=state(alarm, depth),
                StateReason=f"{queue} holds {depth} messages",
            )
