"""Stream → Lambda → topic."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import alarm_above
from components.forwarders.forwarder import (
    MAXIMUM_RECORD_AGE_SECONDS,
    MAXIMUM_RETRIES,
    Forwarder,
    ForwarderArgs,
    ForwarderSettings,
    Took,
    forwarding,
    publishing,
)
from components.lambda_function import LambdaFunction, LambdaFunctionArgs

# A change is due in 2 s. A record this old, after a minute of it, means that the stream is not being read.
LATE_MILLISECONDS = 30_000


@dataclass(frozen=True, kw_only=True)
class LambdaForwarderArgs(ForwarderArgs):
    """What a LambdaForwarder is made of."""

    memory: pulumi.Input[int]  # the function's memory, MB
    snap_start: bool  # regions: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
    partial_failure: pulumi.Input[str]  # `report`, or `raise` where the stream's poller ignores reports


class LambdaForwarder(Forwarder):
    """A function that publishes the stream's records in tens, marked `forwarder=lambda`."""

    def __init__(
        self, name: str, args: LambdaForwarderArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:LambdaForwarder", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        function = LambdaFunction(
            name,
            LambdaFunctionArgs(
                folder="forwarder",
                environment={"TOPIC_ARN": args.topic_arn, "PARTIAL_FAILURE": args.partial_failure},
                statements=forwarding(args, publishing(args)),
                role_path=args.publisher_path,
                memory=args.memory,
                timeout_seconds=30,
                log_retention_days=args.log_retention_days,
                snap_start=args.snap_start,
            ),
            opts=child_opts,
        )
        # A snapshot is of a version. The alias goes with its function; the mapping, which holds the place in
        # the stream, moves to the new.
        alias = aws.lambda_.Alias(
            f"{name}-alias", function_name=function.name, function_version=function.version, opts=child_opts
        )
        aws.lambda_.EventSourceMapping(
            f"{name}-mapping",
            event_source_arn=args.stream_arn,
            function_name=alias.arn,
            # LATEST can miss what is written while the mapping is made.
            starting_position="TRIM_HORIZON",
            batch_size=100,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            maximum_retry_attempts=MAXIMUM_RETRIES,
            maximum_record_age_in_seconds=MAXIMUM_RECORD_AGE_SECONDS,
            destination_config={"on_failure": {"destination_arn": args.failure_queue_arn}},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[function]),
        )
        own = {"FunctionName": function.name}
        alarm_above(
            f"{name}-late",
            LATE_MILLISECONDS,
            description="The function reads the stream late.",
            namespace="AWS/Lambda",
            metric="IteratorAge",
            dimensions=own,
            statistic="Maximum",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )

        self.took = [Took("AWS/Lambda", metric, own) for metric in ("Duration", "IteratorAge")]
        self.register_outputs({})


def from_settings(name: str, args: ForwarderArgs, settings: ForwarderSettings) -> LambdaForwarder:
    """The forwarder as a stack's settings describe it."""
    return LambdaForwarder(
        name,
        LambdaForwarderArgs(
            **vars(args),
            memory=settings.lambda_memory,
            snap_start=settings.snap_start,
            partial_failure=settings.partial_failure,
        ),
    )
