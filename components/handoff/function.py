"""One of the two functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from components.policy_document import Statement, allow

# By when the experiment has given a message up, it has ended. The shortest age that Lambda and its readers of
# streams take: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
MAXIMUM_RETRIES = 2
MAXIMUM_AGE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class HandoffFunctionArgs:
    """What a HandoffFunction is made of."""

    module: Literal["sender", "receiver"]  # of functions/handoff
    statements: Sequence[Statement]  # what it may do, beside its log and its failures
    environment: Mapping[str, pulumi.Input[str]]
    memory: pulumi.Input[int]  # MB
    alarm_topic_arn: pulumi.Input[str]  # who is told of an asynchronous invocation that it gave up
    log_retention_days: pulumi.Input[int]
    role_path: pulumi.Input[str] | None = None  # where in IAM its role is; None: at the root


class HandoffFunction(pulumi.ComponentResource):
    """A function with its own role, log and queue for the asynchronous invocations that failed.

    What reads a stream for it depends on this component.
    """

    arn: pulumi.Output[str]
    log_group_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: HandoffFunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:HandoffFunction", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        failures = DeadLetterQueue(
            f"{name}-dlq", DeadLetterQueueArgs(alarm_topic_arn=args.alarm_topic_arn), opts=child_opts
        )
        # Without a snapshot: the experiment provokes cold starts, of what is not published.
        function = LambdaFunction(
            name,
            LambdaFunctionArgs(
                folder="handoff",
                module=args.module,
                environment=args.environment,
                statements=[*args.statements, allow(["sqs:SendMessage"], failures.arn)],
                role_path=args.role_path,
                memory=args.memory,
                timeout_seconds=30,
                log_retention_days=args.log_retention_days,
            ),
            opts=child_opts,
        )
        aws.lambda_.FunctionEventInvokeConfig(
            f"{name}-invocation",
            function_name=function.name,
            maximum_retry_attempts=MAXIMUM_RETRIES,
            maximum_event_age_in_seconds=MAXIMUM_AGE_SECONDS,
            destination_config={"on_failure": {"destination": failures.arn}},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[function]),
        )

        self.arn = function.arn
        self.log_group_name = function.log_group_name
        self.register_outputs({"arn": self.arn, "logGroupName": self.log_group_name})
