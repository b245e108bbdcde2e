"""Stand-in for the events that ECS sends to EventBridge: the emulator's ECS sends none.

Nobody else can put them on the bus either, since PutEvents refuses the sources of AWS itself. So it does what
the bus would: it asks of each rule whether it matches, and hands the event to the targets of those that do.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from local.emulator import Account

REWRITING = ("Input", "InputPath", "InputTransformer")

logger = logging.getLogger(__name__)


def state_change(task: Mapping[str, Any]) -> dict[str, Any]:
    """The event that tells of a task as DescribeTasks gives it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
    """
    _, _, _, region, account, _ = task["taskArn"].split(":", 5)
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [task["taskArn"]],
        "detail": json.loads(json.dumps(task, default=lambda value: value.isoformat())),
    }


class TaskEvents:
    """Tells the rules of the default bus of tasks."""

    def __init__(self, account: Account) -> None:
        self._ecs = account.client("ecs")
        self._events = account.client("events")
        self._lambda = account.client("lambda")
        self._sqs = account.client("sqs")

    def stopped(self, arn: str) -> None:
        """Tell of a task that the emulator has as stopped, and whose process has ended."""
        cluster = arn.split("/")[-2]
        for task in self._ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]:
            event = json.dumps(state_change(task))
            for rule in self._events.list_rules()["Rules"]:
                if self._matches(rule, event):
                    for target in self._events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                        self._deliver(rule["Name"], target, event)

    def _matches(self, rule: Mapping[str, Any], event: str) -> bool:
        pattern = rule.get("EventPattern")
        return bool(
            pattern
            and rule["State"] == "ENABLED"
            and self._events.test_event_pattern(EventPattern=pattern, Event=event)["Result"]
        )

    def _deliver(self, rule: str, target: Mapping[str, Any], event: str) -> None:
        arn = target["Arn"]
        try:
            if rewriting := [name for name in REWRITING if target.get(name)]:
                logger.warning("rule %s: %s of a target is not supported here", rule, ", ".join(rewriting))
            elif ":lambda:" in arn:
                self._lambda.invoke(FunctionName=arn, InvocationType="Event", Payload=event)
            elif ":sqs:" in arn:
                url = self._sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
                self._sqs.send_message(QueueUrl=url, MessageBody=event)
            else:
                logger.warning("rule %s: target %s is of a kind that is not supported here", rule, arn)
        except ClientError as error:
            logger.warning("rule %s: target %s: %s", rule, arn, error)
