import json
from typing import Any

import pulumi
import pytest

from components.forwarders import FORWARDERS, Forwarder, ForwarderArgs
from components.forwarders.bus_forwarder import BusForwarder
from components.forwarders.lambda_forwarder import LambdaForwarder, LambdaForwarderArgs
from components.forwarders.pipe_forwarder import PipeForwarder
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from tests.program.conftest import CHECKOUT, Evaluation, evaluate

FAILURES = "arn:aws:sqs:eu-south-1:123456789012:failures"
STREAM = "arn:aws:dynamodb:eu-south-1:123456789012:table/state/stream/1"
CHANGES, ALARMS = "arn:aws:sns:eu-south-1:123456789012:changes", "arn:aws:sns:eu-south-1:123456789012:alarms"
ROUTE: dict[str, Any] = {
    "stream_arn": STREAM,
    "topic_arn": CHANGES,
    "publisher_path": "/changes/",
    "failure_queue_arn": FAILURES,
    "alarm_topic_arn": ALARMS,
    "log_retention_days": 14,
}
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ALARM, LOG_GROUP = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/logGroup:LogGroup"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
ALIAS = "aws:lambda/alias:Alias"
PIPE = "aws:pipes/pipe:Pipe"
BUS, RULE = "aws:cloudwatch/eventBus:EventBus", "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
FORWARDING = [
    {
        "Effect": "Allow",
        "Action": ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
        "Resource": STREAM,
    },
    {"Effect": "Allow", "Action": ["dynamodb:ListStreams"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["sns:Publish"], "Resource": CHANGES},
    {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": FAILURES},
]


def lambda_forwarder(snap_start: bool = True) -> Evaluation:
    args = LambdaForwarderArgs(**ROUTE, memory=128, snap_start=snap_start, partial_failure="report")
    return evaluate(lambda: LambdaForwarder("forward", args))


def pipe_forwarder() -> Evaluation:
    return evaluate(lambda: PipeForwarder("forward", ForwarderArgs(**ROUTE)))


def test_a_lambda_forwarder_is_a_function_behind_an_alias_with_its_own_role_log_and_failures() -> None:
    assert lambda_forwarder().children == {
        ("statecast-test", "statecast:components:LambdaForwarder", "forward"),
        ("forward", "statecast:components:LambdaFunction", "forward"),
        ("forward", LOG_GROUP, "forward-logs"),
        ("forward", "statecast:components:ServiceRole", "forward-role"),
        ("forward-role", ROLE, "forward-role"),
        ("forward-role", ROLE_POLICY, "forward-role-policy"),
        ("forward", FUNCTION, "forward"),
        ("forward", ALIAS, "forward-alias"),
        ("forward", MAPPING, "forward-mapping"),
        ("forward", ALARM, "forward-late"),
    }


def test_the_function_is_small_arm_and_starts_from_a_snapshot() -> None:
    inputs = dict(lambda_forwarder()[FUNCTION, "forward"].inputs)
    code = inputs.pop("code")

    assert inputs == {
        "runtime": "python3.13",
        "architectures": ["arm64"],
        "handler": "handler.handle",
        "memorySize": 128,
        "timeout": 30,
        "role": "arn:aws:iam:eu-south-1:123456789012:forward-role",
        "environment": {"variables": {"TOPIC_ARN": CHANGES, "PARTIAL_FAILURE": "report"}},
        "loggingConfig": {"logFormat": "JSON", "logGroup": "forward-logs"},
        "publish": True,
        "snapStart": {"applyOn": "PublishedVersions"},
    }
    assert isinstance(code, pulumi.AssetArchive)
    assert {name: asset.path for name, asset in code.assets.items()} == {
        source.name: f"functions/forwarder/{source.name}"
        for source in (CHECKOUT / "functions" / "forwarder").glob("*.py")
    }
    assert "handler.py" in code.assets


def test_a_function_without_a_module_is_refused() -> None:
    args = LambdaFunctionArgs(
        folder="nowhere", environment={}, statements=[], memory=128, timeout_seconds=30, log_retention_days=14
    )
    with pytest.raises(ValueError, match=r"functions/nowhere holds no module: give a folder of functions/"):
        evaluate(lambda: LambdaFunction("function", args))


def test_snapshots_can_be_left_out() -> None:
    assert "snapStart" not in lambda_forwarder(snap_start=False)[FUNCTION, "forward"].inputs


def test_any_change_but_of_tags_replaces_the_function_and_moves_the_mapping() -> None:
    made = lambda_forwarder()

    options, inputs = made[FUNCTION, "forward"].options, made[FUNCTION, "forward"].inputs
    assert set(options.replace_on_changes) == inputs.keys() - {"publish"}
    assert made[FUNCTION, "forward"].options.delete_before_replace is False
    # No name of its own: two aliases must be able to stand side by side while the mapping moves.
    assert made[ALIAS, "forward-alias"].inputs == {"functionName": "forward", "functionVersion": "1"}
    assert made[MAPPING, "forward-mapping"].options.replace_on_changes == []


def test_the_mapping_reads_the_whole_stream_and_gives_up_in_bounded_time() -> None:
    made = lambda_forwarder()

    assert made[MAPPING, "forward-mapping"].inputs == {
        "eventSourceArn": STREAM,
        "functionName": "arn:aws:lambda:eu-south-1:123456789012:forward-alias",
        "startingPosition": "TRIM_HORIZON",
        "batchSize": 100,
        "bisectBatchOnFunctionError": True,
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "maximumRetryAttempts": 10,
        "maximumRecordAgeInSeconds": 3600,
        "destinationConfig": {"onFailure": {"destinationArn": FAILURES}},
    }
    assert made[ROLE_POLICY, "forward-role-policy"].urn in made[MAPPING, "forward-mapping"].options.depends_on


def test_the_lambdas_role_forwards_and_writes_its_own_log_and_nothing_else() -> None:
    made = lambda_forwarder()

    assert json.loads(made[ROLE, "forward-role"].inputs["assumeRolePolicy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        }
    ]
    assert json.loads(made[ROLE_POLICY, "forward-role-policy"].inputs["policy"])["Statement"] == [
        *FORWARDING,
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "arn:aws:cloudwatch:eu-south-1:123456789012:forward-logs:*",
        },
    ]


def test_a_lambda_that_falls_behind_raises_an_alarm() -> None:
    inputs = lambda_forwarder()[ALARM, "forward-late"].inputs

    assert (inputs["namespace"], inputs["metricName"], inputs["statistic"]) == (
        "AWS/Lambda",
        "IteratorAge",
        "Maximum",
    )
    assert inputs["dimensions"] == {"FunctionName": "forward"}
    assert inputs["threshold"] == 30_000
    assert inputs["alarmActions"] == inputs["okActions"] == [ALARMS]


def test_a_pipe_forwarder_is_a_pipe_with_its_own_role_log_and_failures() -> None:
    made = pipe_forwarder()

    assert made.children == {
        ("statecast-test", "statecast:components:PipeForwarder", "forward"),
        ("forward", LOG_GROUP, "forward-logs"),
        ("forward", "statecast:components:ServiceRole", "forward-role"),
        ("forward-role", ROLE, "forward-role"),
        ("forward-role", ROLE_POLICY, "forward-role-policy"),
        ("forward", PIPE, "forward"),
        ("forward", ALARM, "forward-failing"),
    }
    assert made[LOG_GROUP, "forward-logs"].inputs == {
        "namePrefix": "/aws/vendedlogs/pipes/forward-",
        "retentionInDays": 14,
    }


def test_the_pipe_reads_the_whole_stream_and_gives_up_in_bounded_time() -> None:
    made = pipe_forwarder()

    assert made[PIPE, "forward"].inputs == {
        "roleArn": "arn:aws:iam:eu-south-1:123456789012:forward-role",
        "source": STREAM,
        "sourceParameters": {
            "dynamodbStreamParameters": {
                "startingPosition": "TRIM_HORIZON",
                "batchSize": 10,
                "onPartialBatchItemFailure": "AUTOMATIC_BISECT",
                "maximumRetryAttempts": 10,
                "maximumRecordAgeInSeconds": 3600,
                "deadLetterConfig": {"arn": FAILURES},
            }
        },
        "target": CHANGES,
        "logConfiguration": {
            "level": "ERROR",
            "cloudwatchLogsLogDestination": {
                "logGroupArn": "arn:aws:cloudwatch:eu-south-1:123456789012:forward-logs"
            },
        },
    }
    options = made[PIPE, "forward"].options
    assert made[ROLE_POLICY, "forward-role-policy"].urn in options.depends_on
    assert options.delete_before_replace is True, (
        "beside another variant's it would be a shard's third reader"
    )


def test_the_pipes_role_forwards_for_pipes_of_its_name_alone() -> None:
    made = pipe_forwarder()

    assert json.loads(made[ROLE, "forward-role"].inputs["assumeRolePolicy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "pipes.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnLike": {"aws:SourceArn": "arn:aws:pipes:eu-south-1:123456789012:pipe/forward-*"}
            },
        }
    ]
    assert json.loads(made[ROLE_POLICY, "forward-role-policy"].inputs["policy"])["Statement"] == FORWARDING


def test_a_pipe_that_cannot_publish_raises_an_alarm() -> None:
    inputs = pipe_forwarder()[ALARM, "forward-failing"].inputs

    assert (inputs["namespace"], inputs["metricName"]) == ("AWS/EventBridge/Pipes", "ExecutionFailed")
    assert inputs["dimensions"] == {"PipeName": "forward"}
    assert (inputs["statistic"], inputs["threshold"]) == ("Sum", 0)
    assert inputs["alarmActions"] == inputs["okActions"] == [ALARMS]


def bus_forwarder() -> Evaluation:
    return evaluate(lambda: BusForwarder("forward", ForwarderArgs(**ROUTE)))


def test_a_bus_forwarder_is_a_pipe_to_a_bus_and_a_rule_each_with_its_own_role_and_failures() -> None:
    assert bus_forwarder().children == {
        ("statecast-test", "statecast:components:BusForwarder", "forward"),
        ("forward", LOG_GROUP, "forward-logs"),
        ("forward", "statecast:components:ServiceRole", "forward-role"),
        ("forward-role", ROLE, "forward-role"),
        ("forward-role", ROLE_POLICY, "forward-role-policy"),
        ("forward", PIPE, "forward"),
        ("forward", ALARM, "forward-failing"),
        ("forward", BUS, "forward-bus"),
        ("forward", RULE, "forward-rule"),
        ("forward", "statecast:components:DeadLetterQueue", "forward-rule-dlq"),
        ("forward-rule-dlq", "aws:sqs/queue:Queue", "forward-rule-dlq"),
        ("forward-rule-dlq", "aws:sqs/queuePolicy:QueuePolicy", "forward-rule-dlq-policy"),
        ("forward-rule-dlq", ALARM, "forward-rule-dlq-alarm"),
        ("forward", "statecast:components:ServiceRole", "forward-rule-role"),
        ("forward-rule-role", ROLE, "forward-rule-role"),
        ("forward-rule-role", ROLE_POLICY, "forward-rule-role-policy"),
        ("forward", TARGET, "forward-target"),
        ("forward", ALARM, "forward-rule-failing"),
    }


def test_its_pipe_is_the_same_but_for_where_it_leads() -> None:
    made = bus_forwarder()

    inputs = dict(made[PIPE, "forward"].inputs)
    assert inputs.pop("targetParameters") == {
        "eventbridgeEventBusParameters": {"source": "statecast", "detailType": "change"}
    }
    bus = "arn:aws:cloudwatch:eu-south-1:123456789012:forward-bus"
    assert inputs == {**pipe_forwarder()[PIPE, "forward"].inputs, "target": bus}
    policy = json.loads(made[ROLE_POLICY, "forward-role-policy"].inputs["policy"])
    publish = FORWARDING.index({"Effect": "Allow", "Action": ["sns:Publish"], "Resource": CHANGES})
    put = {"Effect": "Allow", "Action": ["events:PutEvents"], "Resource": bus}
    assert policy["Statement"] == [*FORWARDING[:publish], put, *FORWARDING[publish + 1 :]]


def test_nothing_comes_to_the_bus_before_its_rule_has_a_target_that_may_fail() -> None:
    made = bus_forwarder()

    # What no rule takes, a bus drops.
    assert made[TARGET, "forward-target"].urn in made[PIPE, "forward"].options.depends_on
    assert {
        made[ROLE_POLICY, "forward-rule-role-policy"].urn,
        made["aws:sqs/queuePolicy:QueuePolicy", "forward-rule-dlq-policy"].urn,
    } <= made[TARGET, "forward-target"].options.depends_on


def test_the_rule_publishes_each_event_as_it_is_and_gives_up_in_bounded_time() -> None:
    made = bus_forwarder()

    rule = dict(made[RULE, "forward-rule"].inputs)
    assert json.loads(rule.pop("eventPattern")) == {"source": ["statecast"], "detail-type": ["change"]}
    assert rule == {"eventBusName": "forward-bus"}
    # No input of its own: a task tells by the event's source and type that it came by the bus.
    assert made[TARGET, "forward-target"].inputs == {
        "rule": "forward-rule",
        "eventBusName": "forward-bus",
        "arn": CHANGES,
        "roleArn": "arn:aws:iam:eu-south-1:123456789012:forward-rule-role",
        "retryPolicy": {"maximumRetryAttempts": 10, "maximumEventAgeInSeconds": 3600},
        "deadLetterConfig": {"arn": "arn:aws:sqs:eu-south-1:123456789012:forward-rule-dlq"},
    }


def test_the_rules_role_publishes_for_that_rule_alone() -> None:
    made = bus_forwarder()
    rule = "arn:aws:cloudwatch:eu-south-1:123456789012:forward-rule"

    assert json.loads(made[ROLE, "forward-rule-role"].inputs["assumeRolePolicy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceArn": rule}},
        }
    ]
    assert json.loads(made[ROLE_POLICY, "forward-rule-role-policy"].inputs["policy"])["Statement"] == [
        {"Effect": "Allow", "Action": ["sns:Publish"], "Resource": CHANGES}
    ]
    queue = json.loads(made["aws:sqs/queuePolicy:QueuePolicy", "forward-rule-dlq-policy"].inputs["policy"])
    assert queue["Statement"][1]["Condition"] == {"ArnEquals": {"aws:SourceArn": rule}}


def test_a_rule_that_cannot_publish_raises_an_alarm() -> None:
    inputs = bus_forwarder()[ALARM, "forward-rule-failing"].inputs

    assert (inputs["namespace"], inputs["metricName"]) == ("AWS/Events", "FailedInvocations")
    assert inputs["dimensions"] == {"EventBusName": "forward-bus", "RuleName": "forward-rule"}
    assert (inputs["statistic"], inputs["threshold"]) == ("Sum", 0)
    assert inputs["alarmActions"] == inputs["okActions"] == [ALARMS]


class Settings:
    lambda_memory = 256
    snap_start = False
    partial_failure = "raise"


@pytest.mark.parametrize(
    ("variant", "made"), [("lambda", LambdaForwarder), ("pipe", PipeForwarder), ("bus", BusForwarder)]
)
def test_the_table_makes_each_variant_from_the_settings(variant: str, made: type[Forwarder]) -> None:
    forwarders: list[Forwarder] = []
    evaluation = evaluate(
        lambda: forwarders.append(FORWARDERS[variant]("forward", ForwarderArgs(**ROUTE), Settings()))
    )

    assert [type(forwarder) for forwarder in forwarders] == [made]
    for function in evaluation.of(FUNCTION):
        assert function.inputs["memorySize"] == 256
        assert function.inputs["environment"]["variables"]["PARTIAL_FAILURE"] == "raise"
        assert "snapStart" not in function.inputs
