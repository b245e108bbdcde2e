"""The whole of it: A, B, and what is between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.change_topic import ChangeTopic
from components.handoff.function import HandoffFunction, HandoffFunctionArgs
from components.handoff.stream import HandoffStream, HandoffStreamArgs
from components.handoff.subscription import HandoffSubscription, HandoffSubscriptionArgs
from components.json_text import json_text
from components.policy_document import allow

WAYS = ("synchronous", "asynchronous", "sns", "kinesis")
# The way that not every stack has: Kinesis with enhanced fan-out.
FAN_OUT = "fan-out"


@dataclass(frozen=True, kw_only=True)
class HandoffArgs:
    """What a Handoff is made of."""

    fan_out: bool  # Kinesis with enhanced fan-out, beside Kinesis without
    memory: pulumi.Input[int]  # each function's memory, MB
    alarm_topic_arn: pulumi.Input[str]  # who is told of a message that was given up
    log_retention_days: pulumi.Input[int]


class Handoff(pulumi.ComponentResource):
    """Function A hands a message to function B: by invoking it, through a topic, or through a stream."""

    sender: HandoffFunction  # A: invoked with an order, it hands one message over
    receiver: HandoffFunction  # B
    ways: Sequence[str]  # what an order may name

    def __init__(self, name: str, args: HandoffArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:Handoff", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        topic = ChangeTopic(f"{name}-topic", opts=child_opts)
        # Two streams: of two mappings on one, each would bring every message.
        streams = {
            way: HandoffStream(
                f"{name}-{way}",
                HandoffStreamArgs(enhanced_fan_out=way == FAN_OUT, alarm_topic_arn=args.alarm_topic_arn),
                opts=child_opts,
            )
            for way in (("kinesis", FAN_OUT) if args.fan_out else ("kinesis",))
        }
        stream_arns = {way: stream.arn for way, stream in streams.items()}

        self.receiver = HandoffFunction(
            f"{name}-receiver",
            HandoffFunctionArgs(
                module="receiver",
                statements=[statement for stream in streams.values() for statement in stream.reading],
                environment={},
                memory=args.memory,
                alarm_topic_arn=args.alarm_topic_arn,
                log_retention_days=args.log_retention_days,
            ),
            opts=child_opts,
        )
        HandoffSubscription(
            f"{name}-subscription",
            HandoffSubscriptionArgs(
                topic_arn=topic.arn, function_arn=self.receiver.arn, alarm_topic_arn=args.alarm_topic_arn
            ),
            opts=child_opts,
        )
        for stream in streams.values():
            stream.feed(self.receiver)
        self.sender = HandoffFunction(
            f"{name}-sender",
            HandoffFunctionArgs(
                module="sender",
                statements=[
                    allow(["lambda:InvokeFunction"], self.receiver.arn),
                    allow(["sns:Publish"], topic.arn),
                    allow(["kinesis:PutRecord"], list(stream_arns.values())),
                ],
                environment={
                    "RECEIVER": self.receiver.arn,
                    "TOPIC_ARN": topic.arn,
                    "STREAM_ARNS": json_text(stream_arns),
                },
                role_path=topic.publisher_path,
                memory=args.memory,
                alarm_topic_arn=args.alarm_topic_arn,
                log_retention_days=args.log_retention_days,
            ),
            opts=child_opts,
        )

        self.ways = (*WAYS, *([FAN_OUT] if args.fan_out else []))
        self.register_outputs({})
