"""What every forwarder is: something that reads the table's stream and publishes each record to the topic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import pulumi

from components.policy_document import Statement, allow

# Without bounds, one record that cannot be published blocks its shard until it expires, a day later.
# https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
MAXIMUM_RETRIES = 10
MAXIMUM_RECORD_AGE_SECONDS = 3600


class ForwarderSettings(Protocol):
    """The stack's settings that are for some forwarders and not for all."""

    lambda_memory: Final[int]
    snap_start: Final[bool]
    partial_failure: Final[str]


@dataclass(frozen=True, kw_only=True)
class ForwarderArgs:
    """What every forwarder is made of."""

    stream_arn: pulumi.Input[str]  # the table's stream
    topic_arn: pulumi.Input[str]  # the topic that takes the changes
    publisher_path: pulumi.Input[str]  # where in IAM its role that publishes is
    failure_queue_arn: pulumi.Input[str]  # the queue that takes the place in the stream of what it gave up
    alarm_topic_arn: pulumi.Input[str]  # who is told when the forwarder fails
    log_retention_days: pulumi.Input[int]  # how long its logs are kept


class Took(NamedTuple):
    """A metric, in milliseconds, of how long a forwarder takes."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]


class Forwarder(pulumi.ComponentResource):
    """A component that forwards; its role that publishes is under `publisher_path`."""

    took: Sequence[Took]  # what AWS measures of it


def publishing(args: ForwarderArgs) -> Statement:
    """What the role that publishes may do with the topic."""
    return allow(["sns:Publish"], args.topic_arn)


def forwarding(args: ForwarderArgs, sending: Statement) -> Sequence[Statement]:
    """What the role of a stream's reader may do: read the stream, send the records on, queue what failed."""
    return [
        allow(
            ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], args.stream_arn
        ),
        allow(["dynamodb:ListStreams"], "*"),
        sending,
        allow(["sqs:SendMessage"], args.failure_queue_arn),
    ]
