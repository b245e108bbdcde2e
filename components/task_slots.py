"""The slots that running tasks lease."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.guarded_queue import GuardedQueue, GuardedQueueArgs
from components.json_text import json_text


def slot_count(tasks_max: int, deployment_maximum_percent: int) -> int:
    """Slots for all tasks at once: a rolling deployment starts new ones before it stops the old."""
    return -(-tasks_max * deployment_maximum_percent // 100)


@dataclass(frozen=True, kw_only=True)
class TaskSlotsArgs:
    """What TaskSlots are made of: a number of equal queues, as in GuardedQueueArgs."""

    count: int
    topic_arn: pulumi.Input[str] | None  # the topic of the changes; None: a slot is a number, without a queue
    alarm_topic_arn: pulumi.Input[str]
    retention_seconds: int
    visibility_timeout_seconds: int
    max_receives: int


class TaskSlots(pulumi.ComponentResource):
    """As many queues as tasks can run at once, each with its dead-letter queue, alarm and subscription."""

    queues: Sequence[GuardedQueue]  # the slots' queues; a slot's number is its place in the list
    args: TaskSlotsArgs  # what they are made of

    def __init__(self, name: str, args: TaskSlotsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:TaskSlots", name, None, opts)

        self.queues = []
        if args.topic_arn is not None:
            names = [f"{name}-{number:02}" for number in range(args.count)]
            self.queues = [self._slot(queue_name, args.topic_arn, args) for queue_name in names]
        self.args = args
        self.register_outputs({"queueUrls": [queue.url for queue in self.queues]})

    def _slot(self, name: str, topic_arn: pulumi.Input[str], args: TaskSlotsArgs) -> GuardedQueue:
        queue = GuardedQueue(
            name,
            GuardedQueueArgs(
                topic_arn=topic_arn,
                alarm_topic_arn=args.alarm_topic_arn,
                retention_seconds=args.retention_seconds,
                visibility_timeout_seconds=args.visibility_timeout_seconds,
                max_receives=args.max_receives,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Raw delivery stays off: the envelope's Timestamp says when SNS took the message.
        aws.sns.TopicSubscription(
            f"{name}-subscription",
            topic=topic_arn,
            protocol="sqs",
            endpoint=queue.arn,
            redrive_policy=json_text({"deadLetterTargetArn": queue.dead_letter_queue.arn}),
            # Both queues' policies come first: what SNS may not deliver, it drops.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[queue]),
        )
        return queue

    @property
    def descriptions(self) -> list[dict[str, pulumi.Output[str]]]:
        """Each slot's `queueUrl`, `dlqUrl` and `alarmName`."""
        return [
            {
                "queueUrl": queue.url,
                "dlqUrl": queue.dead_letter_queue.url,
                "alarmName": queue.dead_letter_queue.alarm_name,
            }
            for queue in self.queues
        ]
