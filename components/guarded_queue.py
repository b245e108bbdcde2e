"""A queue that loses nothing in silence."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import LARGEST_MESSAGE_BYTES, DeadLetterQueue, DeadLetterQueueArgs
from components.json_text import json_text
from components.policy_document import allow_topic_to_send, deny_plain_http, document


@dataclass(frozen=True, kw_only=True)
class GuardedQueueArgs:
    """What a GuardedQueue is made of."""

    # The topic that may send to it; what it cannot deliver is kept, too. None: roles send, by their policies.
    topic_arn: pulumi.Input[str] | None
    alarm_topic_arn: pulumi.Input[str]  # who is told when a message is given up
    retention_seconds: int  # how long a message waits for a receiver, 60 to 1,209,600
    visibility_timeout_seconds: int  # how long a received message is hidden before it is delivered again
    max_receives: int  # before a message is given up; times the visibility timeout, below the retention


class GuardedQueue(pulumi.ComponentResource):
    """An encrypted queue, over TLS only, with a DeadLetterQueue for what its readers cannot handle."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    url: pulumi.Output[str]
    dead_letter_queue: DeadLetterQueue  # where messages go that were received too often

    def __init__(self, name: str, args: GuardedQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:GuardedQueue", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        self.dead_letter_queue = DeadLetterQueue(
            f"{name}-dlq",
            DeadLetterQueueArgs(alarm_topic_arn=args.alarm_topic_arn, sending_topic_arn=args.topic_arn),
            opts=child_opts,
        )
        queue = aws.sqs.Queue(
            name,
            message_retention_seconds=args.retention_seconds,
            max_message_size=LARGEST_MESSAGE_BYTES,
            visibility_timeout_seconds=args.visibility_timeout_seconds,
            sqs_managed_sse_enabled=True,
            redrive_policy=json_text(
                {"deadLetterTargetArn": self.dead_letter_queue.arn, "maxReceiveCount": args.max_receives}
            ),
            opts=child_opts,
        )
        statements = [deny_plain_http("sqs:*", queue.arn)]
        if args.topic_arn is not None:
            statements.append(allow_topic_to_send(args.topic_arn, queue.arn))
        aws.sqs.QueuePolicy(
            f"{name}-policy", queue_url=queue.url, policy=document(*statements), opts=child_opts
        )

        self.arn = queue.arn
        self.name = queue.name
        self.url = queue.url
        self.register_outputs({"arn": self.arn, "url": self.url})
