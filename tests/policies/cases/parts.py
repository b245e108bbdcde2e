"""Plain resources of which the cases are made, as a user's own program has them."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws

ACCOUNT = "123456789012"
TOPIC_ARN = f"arn:aws:sns:eu-south-1:{ACCOUNT}:changes"


def arn(name: str) -> str:
    return f"arn:aws:sqs:eu-south-1:{ACCOUNT}:{name}"


def url(name: str) -> str:
    return f"https://sqs.eu-south-1.amazonaws.com/{ACCOUNT}/{name}"


def document(*statements: Any) -> pulumi.Output[str]:
    """A policy document: as unknown as what its statements are made from."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def unknown(at: str) -> pulumi.Output[str]:
    """What only a deployment will know."""
    return aws.kms.Key(f"{at}unknown").arn


def redrive(target: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps({"deadLetterTargetArn": target, "maxReceiveCount": 5})


def alarm(name: str, queue_name: pulumi.Input[str], /, **given: Any) -> aws.cloudwatch.MetricAlarm:
    """The alarm that the rules ask for, with what is given instead."""
    asked: dict[str, Any] = {
        "namespace": "AWS/SQS",
        "metric_name": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": queue_name},
        "statistic": "Maximum",
        "comparison_operator": "GreaterThanThreshold",
        "threshold": 0,
        "period": 60,
        "evaluation_periods": 1,
        "alarm_actions": [f"arn:aws:sns:eu-south-1:{ACCOUNT}:alarms"],
    }
    return aws.cloudwatch.MetricAlarm(name, **asked | given)


def composite(name: str, rule: pulumi.Input[str], **given: Any) -> aws.cloudwatch.CompositeAlarm:
    asked: dict[str, Any] = {"alarm_actions": [f"arn:aws:sns:eu-south-1:{ACCOUNT}:alarms"]}
    return aws.cloudwatch.CompositeAlarm(name, alarm_name=name, alarm_rule=rule, **asked | given)


def assumed_by(service: str) -> str:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def role(name: str, service: str) -> aws.iam.Role:
    return aws.iam.Role(name, assume_role_policy=assumed_by(service))


class Guarded(pulumi.ComponentResource):
    """A queue with its dead letter queue and alarm, whose outputs are the component's."""

    def __init__(self, name: str) -> None:
        super().__init__("test:index:Guarded", name)
        inside = pulumi.ResourceOptions(parent=self)
        dlq = DeadLetter(f"{name}-dead", inside)
        self.queue = aws.sqs.Queue(name, redrive_policy=redrive(dlq.arn), opts=inside)


class DeadLetter(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("test:index:DeadLetter", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        queue = aws.sqs.Queue(name, opts=inside)
        self.arn = queue.arn
        alarm(f"{name}-alarm", queue.name, opts=inside)
        self.register_outputs({"arn": self.arn})


def stream_mapping(name: str, failures: pulumi.Input[str]) -> aws.lambda_.EventSourceMapping:
    return aws.lambda_.EventSourceMapping(
        name,
        function_name="forwarder",
        event_source_arn=f"arn:aws:dynamodb:eu-south-1:{ACCOUNT}:table/t/stream/1",
        starting_position="TRIM_HORIZON",
        destination_config={"on_failure": {"destination_arn": failures}},
    )


def pipe(
    name: str,
    parameters: Any,
    source: pulumi.Input[str] = f"arn:aws:dynamodb:eu-south-1:{ACCOUNT}:table/t/stream/1",
) -> aws.pipes.Pipe:
    return aws.pipes.Pipe(
        name,
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/pipe",
        source=source,
        target=TOPIC_ARN,
        source_parameters=parameters,
    )


def stream_pipe(name: str, failures: pulumi.Input[str]) -> aws.pipes.Pipe:
    stream = {"starting_position": "TRIM_HORIZON", "dead_letter_config": {"arn": failures}}
    return pipe(name, {"dynamodb_stream_parameters": stream})


def kinesis_pipe(name: str, failures: pulumi.Input[str]) -> aws.pipes.Pipe:
    stream = {"starting_position": "TRIM_HORIZON", "dead_letter_config": {"arn": failures}}
    return pipe(name, {"kinesis_stream_parameters": stream})


def subscription(name: str, failures: pulumi.Input[str]) -> aws.sns.TopicSubscription:
    return aws.sns.TopicSubscription(
        name,
        topic=TOPIC_ARN,
        protocol="sqs",
        endpoint=arn("elsewhere"),
        redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": failures}),
    )


def rule_target(name: str, failures: pulumi.Input[str]) -> aws.cloudwatch.EventTarget:
    return aws.cloudwatch.EventTarget(
        name, rule="nightly", arn=arn("elsewhere"), dead_letter_config={"arn": failures}
    )


def schedule(
    name: str, failures: pulumi.Input[str] | None, target: pulumi.Input[str] | None = None
) -> aws.scheduler.Schedule:
    sent = {"arn": target or arn("elsewhere"), "role_arn": f"arn:aws:iam::{ACCOUNT}:role/scheduler"}
    return aws.scheduler.Schedule(
        name,
        schedule_expression="rate(1 minute)",
        flexible_time_window={"mode": "OFF"},
        target=sent | ({"dead_letter_config": {"arn": failures}} if failures is not None else {}),
    )


def function(name: str, failures: pulumi.Input[str] | None = None, /, **given: Any) -> aws.lambda_.Function:
    return aws.lambda_.Function(
        name,
        role=f"arn:aws:iam::{ACCOUNT}:role/function",
        runtime="python3.13",
        handler="handler.handle",
        code=pulumi.AssetArchive({"handler.py": pulumi.StringAsset("def handle(): ...")}),
        dead_letter_config={"target_arn": failures} if failures is not None else None,
        **given,
    )


def invocation(name: str, failures: pulumi.Input[str]) -> aws.lambda_.FunctionEventInvokeConfig:
    return aws.lambda_.FunctionEventInvokeConfig(
        name, function_name="forwarder", destination_config={"on_failure": {"destination": failures}}
    )


SENDERS = {
    "stream-mapping": stream_mapping,
    "stream-pipe": stream_pipe,
    "kinesis-pipe": kinesis_pipe,
    "subscription": subscription,
    "rule-target": rule_target,
    "schedule": schedule,
    "function": function,
    "invocation": invocation,
}
"""Whatever sends its failures to a queue, other than a queue."""
