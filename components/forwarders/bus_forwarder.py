"""Stream → EventBridge Pipe → event bus → rule → topic."""

import json

import pulumi
import pulumi_aws as aws

from components.alarm import alarm_above
from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.forwarders.forwarder import (
    MAXIMUM_RECORD_AGE_SECONDS,
    MAXIMUM_RETRIES,
    Forwarder,
    ForwarderArgs,
    publishing,
)
from components.forwarders.stream_pipe import stream_pipe
from components.policy_document import allow
from components.service_role import ServiceRole, ServiceRoleArgs

# By these a task tells that a message came this way: docs/message.md.
SOURCE = "statecast"
DETAIL_TYPE = "change"


class BusForwarder(Forwarder):
    """A pipe to an event bus of its own, whose one rule publishes each event as it is.

    A rule takes five targets, so it is the topic that fans out.
    """

    def __init__(self, name: str, args: ForwarderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:BusForwarder", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        bus = aws.cloudwatch.EventBus(f"{name}-bus", opts=child_opts)
        rule = aws.cloudwatch.EventRule(
            f"{name}-rule",
            event_bus_name=bus.name,
            event_pattern=json.dumps({"source": [SOURCE], "detail-type": [DETAIL_TYPE]}),
            opts=child_opts,
        )
        failures = DeadLetterQueue(
            f"{name}-rule-dlq",
            DeadLetterQueueArgs(alarm_topic_arn=args.alarm_topic_arn, sending_rule_arns=[rule.arn]),
            opts=child_opts,
        )
        # By a role, as every forwarder: EventBridge itself could not use the key that AWS manages for topics.
        # https://aws.amazon.com/about-aws/whats-new/2025/03/amazon-eventbridge-iam-execution-role-all-targets/
        role = ServiceRole(
            f"{name}-rule-role",
            ServiceRoleArgs(
                service="events.amazonaws.com",
                statements=[publishing(args)],
                condition={"StringEquals": {"aws:SourceArn": rule.arn}},
                path=args.publisher_path,
            ),
            opts=child_opts,
        )
        target = aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            event_bus_name=bus.name,
            arn=args.topic_arn,
            role_arn=role.arn,
            retry_policy={
                "maximum_retry_attempts": MAXIMUM_RETRIES,
                "maximum_event_age_in_seconds": MAXIMUM_RECORD_AGE_SECONDS,
            },
            dead_letter_config={"arn": failures.arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role, failures]),
        )
        alarm_above(
            f"{name}-rule-failing",
            0,
            description="The rule cannot publish.",
            namespace="AWS/Events",
            metric="FailedInvocations",
            dimensions={"EventBusName": bus.name, "RuleName": rule.name},
            statistic="Sum",
            topic_arn=args.alarm_topic_arn,
            opts=child_opts,
        )
        self.took = stream_pipe(
            name,
            args,
            target_arn=bus.arn,
            target_parameters={
                "eventbridge_event_bus_parameters": {"source": SOURCE, "detail_type": DETAIL_TYPE}
            },
            sending=allow(["events:PutEvents"], bus.arn),
            parent=self,
            # A bus drops what no rule takes.
            depends_on=target,
        )

        self.register_outputs({})
