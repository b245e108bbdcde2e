"""Topic → function."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.json_text import json_text


@dataclass(frozen=True, kw_only=True)
class HandoffSubscriptionArgs:
    """What a HandoffSubscription is made of."""

    topic_arn: pulumi.Input[str]
    function_arn: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]  # who is told of a message that the topic could not deliver


class HandoffSubscription(pulumi.ComponentResource):
    """A topic invokes a function, and queues what it cannot hand to Lambda.

    What the function then fails to handle is an asynchronous invocation like any other.
    """

    def __init__(
        self, name: str, args: HandoffSubscriptionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:HandoffSubscription", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        failures = DeadLetterQueue(
            f"{name}-dlq",
            DeadLetterQueueArgs(alarm_topic_arn=args.alarm_topic_arn, sending_topic_arn=args.topic_arn),
            opts=child_opts,
        )
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=args.function_arn,
            principal="sns.amazonaws.com",
            source_arn=args.topic_arn,
            opts=child_opts,
        )
        aws.sns.TopicSubscription(
            name,
            topic=args.topic_arn,
            protocol="lambda",
            endpoint=args.function_arn,
            redrive_policy=json_text({"deadLetterTargetArn": failures.arn}),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[failures, permission]),
        )

        self.register_outputs({})
