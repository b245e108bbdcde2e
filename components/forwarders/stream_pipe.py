"""A pipe that reads the table's stream, whatever it sends the records to."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.alarm import alarm_above
from components.forwarders.forwarder import (
    MAXIMUM_RECORD_AGE_SECONDS,
    MAXIMUM_RETRIES,
    ForwarderArgs,
    Took,
    forwarding,
)
from components.policy_document import Statement
from components.service_role import ServiceRole, ServiceRoleArgs


def stream_pipe(
    name: str,
    args: ForwarderArgs,
    *,
    target_arn: pulumi.Input[str],
    target_parameters: aws.pipes.PipeTargetParametersArgsDict | None = None,
    sending: Statement,
    role_path: pulumi.Input[str] | None = None,
    parent: pulumi.Resource,
    depends_on: pulumi.Resource | None = None,
) -> Sequence[Took]:
    """Make a pipe from the stream to a target, with its log and its alarm. Say what AWS measures of it.

    Its role may do what `sending` says besides reading the stream.
    """
    child_opts = pulumi.ResourceOptions(parent=parent)
    # The role trusts one pipe by its ARN, which must then be known before the pipe is made.
    pipe_name = f"{name}-{pulumi.get_stack()}"

    # Under this prefix AWS lets its services write; other names share a policy of limited size.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
    logs = aws.cloudwatch.LogGroup(
        f"{name}-logs",
        name=f"/aws/vendedlogs/pipes/{pipe_name}",
        retention_in_days=args.log_retention_days,
        opts=child_opts,
    )
    role = ServiceRole(
        f"{name}-role",
        ServiceRoleArgs(
            service="pipes.amazonaws.com",
            statements=forwarding(args, sending),
            condition={"StringEquals": {"aws:SourceArn": _pipe_arn(args.stream_arn, pipe_name)}},
            path=role_path,
        ),
        opts=child_opts,
    )
    pipe = aws.pipes.Pipe(
        name,
        name=pipe_name,
        role_arn=role.arn,
        source=args.stream_arn,
        source_parameters={
            "dynamodb_stream_parameters": {
                # LATEST can miss what is written while the pipe is made.
                "starting_position": "TRIM_HORIZON",
                # What one PublishBatch takes, and one PutEvents.
                "batch_size": 10,
                "on_partial_batch_item_failure": "AUTOMATIC_BISECT",
                "maximum_retry_attempts": MAXIMUM_RETRIES,
                "maximum_record_age_in_seconds": MAXIMUM_RECORD_AGE_SECONDS,
                "dead_letter_config": {"arn": args.failure_queue_arn},
            }
        },
        target=target_arn,
        target_parameters=target_parameters,
        log_configuration={
            "level": "ERROR",
            "cloudwatch_logs_log_destination": {"log_group_arn": logs.arn},
        },
        # A pipe cannot be made before its role may read the stream, nor beside another of its name.
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=[role, *([depends_on] if depends_on else [])],
            delete_before_replace=True,
        ),
    )
    alarm_above(
        f"{name}-failing",
        0,
        description="The pipe cannot publish.",
        namespace="AWS/EventBridge/Pipes",
        metric="ExecutionFailed",
        dimensions={"PipeName": pipe.name},
        statistic="Sum",
        topic_arn=args.alarm_topic_arn,
        opts=child_opts,
    )
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-monitoring.html
    return [Took("AWS/EventBridge/Pipes", "Duration", {"PipeName": pipe.name})]


def _pipe_arn(stream_arn: pulumi.Input[str], pipe_name: str) -> pulumi.Output[str]:
    """The ARN of a pipe in the stream's account and region."""

    def beside(arn: str) -> str:
        partition, _, region, account = arn.split(":")[1:5]
        return f"arn:{partition}:pipes:{region}:{account}:pipe/{pipe_name}"

    return pulumi.Output.from_input(stream_arn).apply(beside)
