"""Kinesis stream → function."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.handoff.function import MAXIMUM_AGE_SECONDS, MAXIMUM_RETRIES, HandoffFunction
from components.policy_document import Statement, allow


@dataclass(frozen=True, kw_only=True)
class HandoffStreamArgs:
    """What a HandoffStream is made of."""

    enhanced_fan_out: bool  # a registered consumer, to which Kinesis pushes, instead of polls each second
    alarm_topic_arn: pulumi.Input[str]  # who is told of a record that was given up


class HandoffStream(pulumi.ComponentResource):
    """An encrypted stream of one shard."""

    arn: pulumi.Output[str]
    reading: Sequence[Statement]  # what the role of the function that it feeds needs

    def __init__(
        self, name: str, args: HandoffStreamArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:HandoffStream", name, None, opts)
        self._name = name
        child_opts = pulumi.ResourceOptions(parent=self)

        self._failures = DeadLetterQueue(
            f"{name}-dlq", DeadLetterQueueArgs(alarm_topic_arn=args.alarm_topic_arn), opts=child_opts
        )
        # The AWS-managed key serves any role of the account that may put or get records.
        stream = aws.kinesis.Stream(
            name, shard_count=1, encryption_type="KMS", kms_key_id="alias/aws/kinesis", opts=child_opts
        )
        # AWS's managed policy allows ListStreams too, which would need `*`: the mapping names its stream.
        read = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
        self.reading = [
            allow([f"kinesis:{action}" for action in read], stream.arn),
            allow(["sqs:SendMessage"], self._failures.arn),
        ]
        self._source_arn = stream.arn
        if args.enhanced_fan_out:
            consumer = aws.kinesis.StreamConsumer(f"{name}-consumer", stream_arn=stream.arn, opts=child_opts)
            subscribe = ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"]
            self.reading = [*self.reading, allow(subscribe, consumer.arn)]
            self._source_arn = consumer.arn

        self.arn = stream.arn
        self.register_outputs({"arn": self.arn})

    def feed(self, function: HandoffFunction) -> None:
        """Have Lambda invoke a function, whose role may do what `reading` says, with each record."""
        aws.lambda_.EventSourceMapping(
            f"{self._name}-mapping",
            event_source_arn=self._source_arn,
            function_name=function.arn,
            starting_position="TRIM_HORIZON",
            # As in the other ways: an invocation a message.
            batch_size=1,
            maximum_retry_attempts=MAXIMUM_RETRIES,
            maximum_record_age_in_seconds=MAXIMUM_AGE_SECONDS,
            destination_config={"on_failure": {"destination_arn": self._failures.arn}},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[function]),
        )
