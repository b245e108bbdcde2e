import json

import pulumi

from components.redriver import Redriver, RedriverArgs
from components.state_table import StateTable, StateTableArgs
from tests.program.conftest import CHECKOUT, Evaluation, evaluate

CHANGES, ALARMS = "arn:aws:sns:eu-south-1:123456789012:changes", "arn:aws:sns:eu-south-1:123456789012:alarms"
STREAM = "arn:aws:dynamodb:eu-south-1:123456789012:state/stream/1"
FAILURES = "arn:aws:sqs:eu-south-1:123456789012:redriver-failures"
QUEUE, QUEUE_POLICY = "aws:sqs/queue:Queue", "aws:sqs/queuePolicy:QueuePolicy"
ALARM, LOG_GROUP = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/logGroup:LogGroup"
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
DAY_SECONDS = 86_400


def redriver() -> Evaluation:
    def program() -> None:
        table = StateTable("state", StateTableArgs(deletion_protection=True))
        args = RedriverArgs(
            table=table,
            topic_arn=CHANGES,
            publisher_path="/changes/",
            alarm_topic_arn=ALARMS,
            log_retention_days=14,
        )
        Redriver("redriver", args)

    return evaluate(program)


def test_a_redriver_is_a_guarded_queue_and_a_function_with_three_alarms() -> None:
    of_the_table = {("state", "aws:dynamodb/table:Table", "state")}
    of_the_stack = {("statecast-test", "statecast:components:StateTable", "state")}
    assert redriver().children - of_the_table - of_the_stack == {
        ("statecast-test", "statecast:components:Redriver", "redriver"),
        ("redriver", "statecast:components:GuardedQueue", "redriver-failures"),
        ("redriver-failures", QUEUE, "redriver-failures"),
        ("redriver-failures", QUEUE_POLICY, "redriver-failures-policy"),
        ("redriver-failures", "statecast:components:DeadLetterQueue", "redriver-failures-dlq"),
        ("redriver-failures-dlq", QUEUE, "redriver-failures-dlq"),
        ("redriver-failures-dlq", QUEUE_POLICY, "redriver-failures-dlq-policy"),
        ("redriver-failures-dlq", ALARM, "redriver-failures-dlq-alarm"),
        ("redriver", "statecast:components:LambdaFunction", "redriver"),
        ("redriver", LOG_GROUP, "redriver-logs"),
        ("redriver", "statecast:components:ServiceRole", "redriver-role"),
        ("redriver-role", ROLE, "redriver-role"),
        ("redriver-role", ROLE_POLICY, "redriver-role-policy"),
        ("redriver", FUNCTION, "redriver"),
        ("redriver", MAPPING, "redriver-mapping"),
        ("redriver", ALARM, "redriver-waiting"),
        ("redriver", ALARM, "redriver-failing"),
        ("redriver", ALARM, "redriver-lost"),
    }


def test_a_range_is_tried_for_as_long_as_the_stream_keeps_it_and_never_expires_unseen() -> None:
    made = redriver()

    queue, function = made[QUEUE, "redriver-failures"].inputs, made[FUNCTION, "redriver"].inputs
    hidden, receives = (
        queue["visibilityTimeoutSeconds"],
        json.loads(queue["redrivePolicy"])["maxReceiveCount"],
    )
    assert hidden == 6 * function["timeout"], "what Lambda asks of a queue that it reads"
    assert hidden * receives == DAY_SECONDS
    assert receives <= 1_000, "the most that SQS takes"
    kept = queue["messageRetentionSeconds"]
    assert DAY_SECONDS < kept < made[QUEUE, "redriver-failures-dlq"].inputs["messageRetentionSeconds"]


def test_the_function_takes_one_range_at_a_time_from_the_failure_queue() -> None:
    made = redriver()

    assert made[MAPPING, "redriver-mapping"].inputs == {
        "eventSourceArn": FAILURES,
        "functionName": "arn:aws:lambda:eu-south-1:123456789012:redriver",
        "batchSize": 1,
        "scalingConfig": {"maximumConcurrency": 2},
    }
    assert (
        made[ROLE_POLICY, "redriver-role-policy"].urn in made[MAPPING, "redriver-mapping"].options.depends_on
    )
    inputs = made[FUNCTION, "redriver"].inputs
    assert inputs["environment"] == {
        "variables": {
            "TOPIC_ARN": CHANGES,
            "FAILURE_QUEUE_URL": "https://sqs/redriver-failures",
            "DEAD_LETTER_QUEUE_URL": "https://sqs/redriver-failures-dlq",
        }
    }
    assert isinstance(inputs["code"], pulumi.AssetArchive)
    assert {asset.path for asset in inputs["code"].assets.values()} == {
        f"functions/redriver/{source.name}" for source in (CHECKOUT / "functions" / "redriver").glob("*.py")
    }
    assert "snapStart" not in inputs


def test_the_role_reads_the_stream_and_its_queue_and_publishes_and_nothing_else() -> None:
    policy = redriver()[ROLE_POLICY, "redriver-role-policy"].inputs["policy"]

    assert json.loads(policy)["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            "Resource": FAILURES,
        },
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [FAILURES, f"{FAILURES}-dlq"]},
        {
            "Effect": "Allow",
            "Action": ["dynamodb:GetRecords", "dynamodb:GetShardIterator"],
            "Resource": STREAM,
        },
        {"Effect": "Allow", "Action": ["sns:Publish"], "Resource": CHANGES},
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "arn:aws:cloudwatch:eu-south-1:123456789012:redriver-logs:*",
        },
    ]


def test_alarms_tell_of_changes_that_wait_that_cannot_be_published_and_that_are_lost() -> None:
    made = redriver()

    alarms = {name: made[ALARM, f"redriver-{name}"].inputs for name in ("waiting", "failing", "lost")}
    for inputs in alarms.values():
        assert inputs["alarmActions"] == inputs["okActions"] == [ALARMS]
        assert (inputs["comparisonOperator"], inputs["threshold"]) == ("GreaterThanThreshold", 0)
        assert inputs["treatMissingData"] == "notBreaching"
    assert {
        name: (inputs["namespace"], inputs["metricName"], inputs["statistic"], inputs["dimensions"])
        for name, inputs in alarms.items()
    } == {
        "waiting": (
            *("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum"),
            {"QueueName": "redriver-failures"},
        ),
        "failing": ("AWS/Lambda", "Errors", "Sum", {"FunctionName": "redriver"}),
        "lost": ("statecast", "lost", "Sum", {"table": "state"}),
    }
