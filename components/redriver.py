"""What the forwarders gave up is published all the same."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import alarm_above, alarm_on_messages
from components.guarded_queue import GuardedQueue, GuardedQueueArgs
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from components.policy_document import allow
from components.state_table import StateTable
from functions.redriver.redriver_metrics import LOST, NAMESPACE

TIMEOUT_SECONDS = 30
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_TIMEOUT_SECONDS = 6 * TIMEOUT_SECONDS
# For as long as the stream keeps a record: a day. Then nothing is left to publish.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
MAX_RECEIVES = 24 * 3600 // VISIBILITY_TIMEOUT_SECONDS
# What expires goes to no dead-letter queue: time to mend a redriver that receives nothing.
RETENTION_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class RedriverArgs:
    """What a Redriver is made of."""

    table: StateTable  # the table whose stream the forwarders read
    topic_arn: pulumi.Input[str]  # the topic that takes the changes
    publisher_path: pulumi.Input[str]  # where in IAM its role is, which publishes
    alarm_topic_arn: pulumi.Input[str]  # who is told when changes wait, cannot be published or are lost
    log_retention_days: pulumi.Input[int]  # how long its log is kept


class Redriver(pulumi.ComponentResource):
    """A queue of places in the stream, and a function that reads there again and publishes pointers.

    What has left the stream, and what cannot be published for a day, ends in the queue's DeadLetterQueue.
    """

    failure_queue_arn: pulumi.Output[str]  # where forwarders send the places of what they gave up

    def __init__(self, name: str, args: RedriverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:Redriver", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        failures = GuardedQueue(
            f"{name}-failures",
            GuardedQueueArgs(
                topic_arn=None,
                alarm_topic_arn=args.alarm_topic_arn,
                retention_seconds=RETENTION_SECONDS,
                visibility_timeout_seconds=VISIBILITY_TIMEOUT_SECONDS,
                max_receives=MAX_RECEIVES,
            ),
            opts=child_opts,
        )
        lost = failures.dead_letter_queue
        function = LambdaFunction(
            name,
            LambdaFunctionArgs(
                folder="redriver",
                environment={
                    "TOPIC_ARN": args.topic_arn,
                    "FAILURE_QUEUE_URL": failures.url,
                    "DEAD_LETTER_QUEUE_URL": lost.url,
                },
                statements=[
                    allow(
                        ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], failures.arn
                    ),
                    # The rest of a range that takes too long, and what is lost.
                    allow(["sqs:SendMessage"], [failures.arn, lost.arn]),
                    allow(["dynamodb:GetRecords", "dynamodb:GetShardIterator"], args.table.stream_arn),
                    allow(["sns:Publish"], args.topic_arn),
                ],
                role_path=args.publisher_path,
                memory=128,
                timeout_seconds=TIMEOUT_SECONDS,
                log_retention_days=args.log_retention_days,
            ),
            opts=child_opts,
        )
        aws.lambda_.EventSourceMapping(
            f"{name}-mapping",
            event_source_arn=failures.arn,
            function_name=function.arn,
            # One range that fails then takes no other with it, and counts as an error of the function.
            batch_size=1,
            # The fewest: it reads the stream beside the forwarders.
            scaling_config={"maximum_concurrency": 2},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[function]),
        )
        alarm_on_messages(
            f"{name}-waiting",
            failures.name,
            description="Changes that a forwarder gave up wait for the redriver.",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )
        # A message in hand is not a waiting one, and for three minutes after each try it is in hand.
        alarm_above(
            f"{name}-failing",
            0,
            description="The redriver cannot publish what a forwarder gave up; it tries for a day.",
            namespace="AWS/Lambda",
            metric="Errors",
            dimensions={"FunctionName": function.name},
            statistic="Sum",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )
        alarm_above(
            f"{name}-lost",
            0,
            description="Changes left the stream unpublished. Tasks find them by their next rescan.",
            namespace=NAMESPACE,
            metric=LOST,
            dimensions={"table": args.table.table_name},
            statistic="Sum",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )

        self.failure_queue_arn = failures.arn
        self.register_outputs({"failureQueueArn": self.failure_queue_arn})
