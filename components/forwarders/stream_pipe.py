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

    # Under this prefix AWS lets its services write; other names share a policy of limited size.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
    logs = aws.cloudwatch.LogGroup(
        f"{name}-logs",
        name_prefix=f"/aws/vendedlogs/pipes/{name}-",
        retention_in_days=args.log_retention_days,
        opts=child_opts,
    )
    # The role is made before the pipe has its name, so it trusts every pipe of this account and region whose
    # name begins alike. Who gives it to another one needs `iam:PassRole` on it.
    role = ServiceRole(
        f"{name}-role",
        ServiceRoleArgs(
            service="pipes.amazonaws.com",
            statements=forwarding(args, sending),
            condition={"ArnLike": {"aws:SourceArn": _pipe_arns(args.stream_arn, f"{name}-*")}},
            path=role_path,
        ),
        opts=child_opts,
    )
    pipe = aws.pipes.Pipe(
        name,
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
        # A pipe cannot be made before its role may read the stream. And beside the pipe that it replaces and
        # another variant's reader it would be a shard's third, of two.
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


def _pipe_arns(stream_arn: pulumi.Input[str], names: str) -> pulumi.Output[str]:
    """The ARNs of pipes in the stream's account and region."""

    def beside(arn: str) -> str:
        partition, _, region, account = arn.split(":")[1:5]
        return f"arn:{partition}:pipes:{region}:{account}:pipe/{names}"

    return pulumi.Output.from_input(stream_arn).apply(beside)
