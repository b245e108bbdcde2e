import json
from typing import Any

import pulumi
import pytest

from components.handoff import Handoff, HandoffArgs
from tests.program.conftest import CHECKOUT, Evaluation, evaluate

ALARMS = "arn:aws:sns:eu-south-1:123456789012:alarms"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
INVOCATION = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
ROLE_POLICY, LOG_GROUP = "aws:iam/rolePolicy:RolePolicy", "aws:cloudwatch/logGroup:LogGroup"
STREAM, CONSUMER = "aws:kinesis/stream:Stream", "aws:kinesis/streamConsumer:StreamConsumer"
PERMISSION, SUBSCRIPTION = "aws:lambda/permission:Permission", "aws:sns/topicSubscription:TopicSubscription"
QUEUE, ALARM = "aws:sqs/queue:Queue", "aws:cloudwatch/metricAlarm:MetricAlarm"


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:eu-south-1:123456789012:{name}"


RECEIVER, SENDER = arn("lambda", "handoff-receiver"), arn("lambda", "handoff-sender")
TOPIC = arn("sns", "handoff-topic")


def handoff(*, fan_out: bool = False) -> Evaluation:
    args = HandoffArgs(fan_out=fan_out, memory=128, alarm_topic_arn=ALARMS, log_retention_days=14)
    return evaluate(lambda: Handoff("handoff", args))


def allowed(made: Evaluation, role: str) -> list[tuple[list[str], Any]]:
    document = json.loads(made[ROLE_POLICY, f"{role}-policy"].inputs["policy"])
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
    return [(statement["Action"], statement["Resource"]) for statement in document["Statement"]]


def children(name: str, *made: str) -> set[tuple[str, str, str]]:
    """A dead letter queue with its policy and alarm, of each of these components."""
    return {
        child
        for dlq in made
        for child in (
            (name, "statecast:components:DeadLetterQueue", dlq),
            (dlq, QUEUE, dlq),
            (dlq, "aws:sqs/queuePolicy:QueuePolicy", f"{dlq}-policy"),
            (dlq, ALARM, f"{dlq}-alarm"),
        )
    }


def test_a_hand_off_is_two_functions_a_topic_and_a_stream_each_with_a_queue_for_its_failures() -> None:
    both = {
        made
        for function in ("handoff-receiver", "handoff-sender")
        for made in (
            ("handoff", "statecast:components:HandoffFunction", function),
            *children(function, f"{function}-dlq"),
            (function, "statecast:components:LambdaFunction", function),
            (function, LOG_GROUP, f"{function}-logs"),
            (function, "statecast:components:ServiceRole", f"{function}-role"),
            (f"{function}-role", "aws:iam/role:Role", f"{function}-role"),
            (f"{function}-role", ROLE_POLICY, f"{function}-role-policy"),
            (function, FUNCTION, function),
            (function, INVOCATION, f"{function}-invocation"),
        )
    }
    assert handoff().children == {
        ("statecast-test", "statecast:components:Handoff", "handoff"),
        *both,
        ("handoff", "statecast:components:ChangeTopic", "handoff-topic"),
        ("handoff-topic", "aws:sns/topic:Topic", "handoff-topic"),
        ("handoff-topic", "aws:sns/topicPolicy:TopicPolicy", "handoff-topic-policy"),
        ("handoff", "statecast:components:HandoffSubscription", "handoff-subscription"),
        *children("handoff-subscription", "handoff-subscription-dlq"),
        ("handoff-subscription", PERMISSION, "handoff-subscription-permission"),
        ("handoff-subscription", SUBSCRIPTION, "handoff-subscription"),
        ("handoff", "statecast:components:HandoffStream", "handoff-kinesis"),
        *children("handoff-kinesis", "handoff-kinesis-dlq"),
        ("handoff-kinesis", STREAM, "handoff-kinesis"),
        ("handoff-kinesis", MAPPING, "handoff-kinesis-mapping"),
    }


def test_a_fan_out_has_a_stream_of_its_own_that_is_pushed_to_a_registered_consumer() -> None:
    made = handoff(fan_out=True)
    more = made.children - handoff().children

    assert more == {
        ("handoff", "statecast:components:HandoffStream", "handoff-fan-out"),
        *children("handoff-fan-out", "handoff-fan-out-dlq"),
        ("handoff-fan-out", STREAM, "handoff-fan-out"),
        ("handoff-fan-out", CONSUMER, "handoff-fan-out-consumer"),
        ("handoff-fan-out", MAPPING, "handoff-fan-out-mapping"),
    }
    assert made[CONSUMER, "handoff-fan-out-consumer"].inputs == {
        "streamArn": arn("kinesis", "handoff-fan-out")
    }
    sources = {mapping.name: mapping.inputs["eventSourceArn"] for mapping in made.of(MAPPING)}
    assert sources == {
        "handoff-kinesis-mapping": arn("kinesis", "handoff-kinesis"),
        "handoff-fan-out-mapping": arn("kinesis", "handoff-fan-out-consumer"),
    }


def test_either_function_is_the_same_folder_with_another_handler_and_no_snapshot() -> None:
    made = handoff()
    for module in ("sender", "receiver"):
        inputs = dict(made[FUNCTION, f"handoff-{module}"].inputs)
        code = inputs.pop("code")
        inputs.pop("environment", None)
        assert isinstance(code, pulumi.AssetArchive)
        assert set(code.assets) == {source.name for source in (CHECKOUT / "functions/handoff").glob("*.py")}
        assert inputs == {
            "runtime": "python3.13",
            "architectures": ["arm64"],
            "handler": f"{module}.handle",
            "memorySize": 128,
            "timeout": 30,
            "role": arn("iam", f"handoff-{module}-role"),
            "loggingConfig": {"logFormat": "JSON", "logGroup": f"handoff-{module}-logs"},
            "publish": True,
        }


@pytest.mark.parametrize("fan_out", [False, True])
def test_the_sender_is_told_where_each_way_leads(fan_out: bool) -> None:
    variables = dict(handoff(fan_out=fan_out)[FUNCTION, "handoff-sender"].inputs["environment"]["variables"])

    streams = ["kinesis", *(["fan-out"] if fan_out else [])]
    assert json.loads(variables.pop("STREAM_ARNS")) == {
        way: arn("kinesis", f"handoff-{way}") for way in streams
    }
    assert variables == {"RECEIVER": RECEIVER, "TOPIC_ARN": TOPIC}


def test_the_sender_may_go_the_four_ways_and_nothing_else() -> None:
    assert allowed(handoff(), "handoff-sender-role") == [
        (["lambda:InvokeFunction"], RECEIVER),
        (["sns:Publish"], TOPIC),
        (["kinesis:PutRecord"], [arn("kinesis", "handoff-kinesis")]),
        (["sqs:SendMessage"], arn("sqs", "handoff-sender-dlq")),
        (["logs:CreateLogStream", "logs:PutLogEvents"], arn("cloudwatch", "handoff-sender-logs:*")),
    ]


def test_the_receiver_may_read_its_streams_and_nothing_else() -> None:
    read = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
    reading = [f"kinesis:{action}" for action in read]
    assert allowed(handoff(fan_out=True), "handoff-receiver-role") == [
        (reading, arn("kinesis", "handoff-kinesis")),
        (["sqs:SendMessage"], arn("sqs", "handoff-kinesis-dlq")),
        (reading, arn("kinesis", "handoff-fan-out")),
        (["sqs:SendMessage"], arn("sqs", "handoff-fan-out-dlq")),
        (
            ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
            arn("kinesis", "handoff-fan-out-consumer"),
        ),
        (["sqs:SendMessage"], arn("sqs", "handoff-receiver-dlq")),
        (["logs:CreateLogStream", "logs:PutLogEvents"], arn("cloudwatch", "handoff-receiver-logs:*")),
    ]


def test_asynchronous_invocations_give_up_in_a_minute_into_a_queue_that_the_role_may_send_to() -> None:
    made = handoff()
    for function in ("handoff-sender", "handoff-receiver"):
        invocation = made[INVOCATION, f"{function}-invocation"]
        assert invocation.inputs == {
            "functionName": function,
            "maximumRetryAttempts": 2,
            "maximumEventAgeInSeconds": 60,
            "destinationConfig": {"onFailure": {"destination": arn("sqs", f"{function}-dlq")}},
        }
        assert made[ROLE_POLICY, f"{function}-role-policy"].urn in invocation.options.depends_on


def test_the_topic_may_invoke_the_receiver_before_it_is_subscribed_and_keeps_what_it_cannot_deliver() -> None:
    made = handoff()

    permission = made[PERMISSION, "handoff-subscription-permission"]
    assert permission.inputs == {
        "action": "lambda:InvokeFunction",
        "function": RECEIVER,
        "principal": "sns.amazonaws.com",
        "sourceArn": TOPIC,
    }
    subscription = made[SUBSCRIPTION, "handoff-subscription"]
    dlq = arn("sqs", "handoff-subscription-dlq")
    assert dict(subscription.inputs) == {
        "topic": TOPIC,
        "protocol": "lambda",
        "endpoint": RECEIVER,
        "redrivePolicy": subscription.inputs["redrivePolicy"],
    }
    assert json.loads(subscription.inputs["redrivePolicy"]) == {"deadLetterTargetArn": dlq}
    policy = made["aws:sqs/queuePolicy:QueuePolicy", "handoff-subscription-dlq-policy"]
    assert {permission.urn, policy.urn} <= subscription.options.depends_on
    admitted = [
        each for each in json.loads(policy.inputs["policy"])["Statement"] if each["Effect"] == "Allow"
    ]
    assert [each["Condition"] for each in admitted] == [{"ArnEquals": {"aws:SourceArn": TOPIC}}]


def test_the_sender_s_role_alone_is_where_those_are_that_may_publish() -> None:
    paths = {role.name: role.inputs.get("path") for role in handoff().of("aws:iam/role:Role")}

    assert paths == {"handoff-sender-role": "/handoff-topic/", "handoff-receiver-role": None}


def test_a_stream_is_encrypted_and_invokes_the_receiver_for_each_record_in_bounded_time() -> None:
    made = handoff()

    assert made[STREAM, "handoff-kinesis"].inputs == {
        "shardCount": 1,
        "encryptionType": "KMS",
        "kmsKeyId": "alias/aws/kinesis",
    }
    mapping = made[MAPPING, "handoff-kinesis-mapping"]
    assert mapping.inputs == {
        "eventSourceArn": arn("kinesis", "handoff-kinesis"),
        "functionName": RECEIVER,
        "startingPosition": "TRIM_HORIZON",
        "batchSize": 1,
        "maximumRetryAttempts": 2,
        "maximumRecordAgeInSeconds": 60,
        "destinationConfig": {"onFailure": {"destinationArn": arn("sqs", "handoff-kinesis-dlq")}},
    }
    assert made[ROLE_POLICY, "handoff-receiver-role-policy"].urn in mapping.options.depends_on
