"""A queue for messages that could not be handled, and the alarm that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import alarm_on_messages
from components.policy_document import allow_rule_to_send, allow_topic_to_send, deny_plain_http, document

# A message keeps the time at which it entered its first queue, so this queue must outlast it. The most:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
LONGEST_RETENTION_SECONDS = 14 * 24 * 3600
# The most, too: SNS's envelope escapes a record, and one at SNS's own limit of 256 KiB outgrows that.
LARGEST_MESSAGE_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class DeadLetterQueueArgs:
    """What a DeadLetterQueue is made of."""

    alarm_topic_arn: pulumi.Input[str]  # who is told when it is not empty, and when it is empty again
    # A topic or a rule that may not send here what it cannot deliver loses it in silence.
    sending_topic_arn: pulumi.Input[str] | None = None
    sending_rule_arns: Sequence[pulumi.Input[str]] = ()


class DeadLetterQueue(pulumi.ComponentResource):
    """An encrypted queue, over TLS only, with an alarm on its first message."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    url: pulumi.Output[str]
    alarm_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: DeadLetterQueueArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:DeadLetterQueue", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        queue = aws.sqs.Queue(
            name,
            message_retention_seconds=LONGEST_RETENTION_SECONDS,
            max_message_size=LARGEST_MESSAGE_BYTES,
            sqs_managed_sse_enabled=True,
            opts=child_opts,
        )
        statements = [deny_plain_http("sqs:*", queue.arn)]
        if args.sending_topic_arn is not None:
            statements.append(allow_topic_to_send(args.sending_topic_arn, queue.arn))
        statements += [allow_rule_to_send(rule_arn, queue.arn) for rule_arn in args.sending_rule_arns]
        aws.sqs.QueuePolicy(
            f"{name}-policy", queue_url=queue.url, policy=document(*statements), opts=child_opts
        )
        alarm = alarm_on_messages(
            f"{name}-alarm",
            queue.name,
            description="Messages that could not be handled wait here.",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )

        self.arn = queue.arn
        self.name = queue.name
        self.url = queue.url
        self.alarm_name = alarm.name
        self.register_outputs({"arn": self.arn, "url": self.url, "alarmName": self.alarm_name})
