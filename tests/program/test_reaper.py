import json
from collections.abc import Callable
from typing import Any

import pytest

from components.archive_bucket import ArchiveBucket, ArchiveBucketArgs
from tests.program.conftest import ACCOUNT, CHECKOUT, REGION, Evaluation, evaluate

FUNCTION, PERMISSION = "aws:lambda/function:Function", "aws:lambda/permission:Permission"
RULE, TARGET = "aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget"
ALARM, LOG_GROUP = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/logGroup:LogGroup"
QUEUE, QUEUE_POLICY = "aws:sqs/queue:Queue", "aws:sqs/queuePolicy:QueuePolicy"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
INVOCATION = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
BUCKET, BUCKET_POLICY = "aws:s3/bucket:Bucket", "aws:s3/bucketPolicy:BucketPolicy"
PRIVATE = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
NAME = "statecast-reaper"


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"


ALARMS, DLQ = arn("sns", "statecast-alarms"), arn("sqs", f"{NAME}-dlq")
CLUSTER = arn("ecs", "cluster/statecast-tasks")


@pytest.fixture
def made(program: Callable[[str], Evaluation]) -> Evaluation:
    return program("local")


def test_the_reaper_is_a_function_with_its_own_role_log_archive_rules_and_failures(made: Evaluation) -> None:
    archive = f"{NAME}-archive"
    assert {child for child in made.children if child[2].startswith(NAME)} == {
        ("statecast-local", "statecast:components:Reaper", NAME),
        (NAME, "statecast:components:ArchiveBucket", archive),
        (archive, BUCKET, archive),
        (archive, PRIVATE, f"{archive}-private"),
        (archive, ENCRYPTION, f"{archive}-encryption"),
        (archive, LIFECYCLE, f"{archive}-lifecycle"),
        (archive, BUCKET_POLICY, f"{archive}-policy"),
        (NAME, RULE, f"{NAME}-minute"),
        (NAME, RULE, f"{NAME}-stopped"),
        (NAME, "statecast:components:DeadLetterQueue", f"{NAME}-dlq"),
        (f"{NAME}-dlq", QUEUE, f"{NAME}-dlq"),
        (f"{NAME}-dlq", QUEUE_POLICY, f"{NAME}-dlq-policy"),
        (f"{NAME}-dlq", ALARM, f"{NAME}-dlq-alarm"),
        (NAME, "statecast:components:LambdaFunction", NAME),
        (NAME, LOG_GROUP, f"{NAME}-logs"),
        (NAME, "statecast:components:ServiceRole", f"{NAME}-role"),
        (f"{NAME}-role", "aws:iam/role:Role", f"{NAME}-role"),
        (f"{NAME}-role", "aws:iam/rolePolicy:RolePolicy", f"{NAME}-role-policy"),
        (NAME, FUNCTION, NAME),
        (NAME, INVOCATION, f"{NAME}-failures"),
        (NAME, PERMISSION, f"{NAME}-alarms-permission"),
        (NAME, SUBSCRIPTION, f"{NAME}-alarms-subscription"),
        (NAME, PERMISSION, f"{NAME}-minute-permission"),
        (NAME, TARGET, f"{NAME}-minute-target"),
        (NAME, PERMISSION, f"{NAME}-stopped-permission"),
        (NAME, TARGET, f"{NAME}-stopped-target"),
        (NAME, ALARM, f"{NAME}-stops"),
        (NAME, ALARM, f"{NAME}-few"),
        (NAME, ALARM, f"{NAME}-unready"),
        (NAME, ALARM, f"{NAME}-poison"),
    }


def test_the_function_has_its_modules_and_the_slots_dead_letter_queues(made: Evaluation) -> None:
    inputs = dict(made[FUNCTION, NAME].inputs)

    assets = inputs.pop("code").assets
    modules = {path.name for path in (CHECKOUT / "functions" / "reaper").glob("*.py")}
    assert set(assets) == {*modules, "queues.json"} and "handler.py" in modules
    assert json.loads(assets["queues.json"].text) == [
        f"https://sqs/statecast-slot-{number:02}-dlq" for number in range(8)
    ]
    assert inputs == {
        "runtime": "python3.13",
        "architectures": ["arm64"],
        "handler": "handler.handle",
        "memorySize": 256,
        "timeout": 60,
        "role": arn("iam", f"{NAME}-role"),
        "environment": {
            "variables": {
                "TABLE": "statecast-state",
                "LEASES_TABLE": "statecast-leases",
                "CLUSTER": CLUSTER,
                "ARCHIVE": f"{NAME}-archive",
            }
        },
        "loggingConfig": {"logFormat": "JSON", "logGroup": f"{NAME}-logs"},
        "publish": True,
    }


def test_its_role_may_do_this_and_nothing_else(made: Evaluation) -> None:
    role = made["aws:iam/rolePolicy:RolePolicy", f"{NAME}-role-policy"]
    letters, leases, tasks, archive, failures, logs = json.loads(role.inputs["policy"])["Statement"]

    assert letters == {
        "Effect": "Allow",
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        "Resource": [arn("sqs", f"statecast-slot-{number:02}-dlq") for number in range(8)],
    }
    assert leases == {
        "Effect": "Allow",
        "Action": ["dynamodb:Scan", "dynamodb:UpdateItem"],
        "Resource": arn("dynamodb", "statecast-leases"),
    }
    assert tasks == {
        "Effect": "Allow",
        "Action": ["ecs:DescribeTasks", "ecs:StopTask"],
        "Resource": arn("ecs", "task/statecast-tasks/*"),
        "Condition": {"ArnEquals": {"ecs:cluster": CLUSTER}},
    }
    assert archive == {
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": f"arn:aws:s3:::{NAME}-archive/*",
    }
    assert failures == {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": DLQ}
    assert logs["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_it_is_called_by_alarms_that_begin_each_minute_and_when_a_task_of_the_cluster_stopped(
    made: Evaluation,
) -> None:
    subscription = made[SUBSCRIPTION, f"{NAME}-alarms-subscription"].inputs
    assert {name: subscription[name] for name in ("topic", "protocol", "endpoint", "filterPolicyScope")} == {
        "topic": ALARMS,
        "protocol": "lambda",
        "endpoint": arn("lambda", NAME),
        "filterPolicyScope": "MessageBody",
    }
    assert json.loads(subscription["filterPolicy"]) == {"NewStateValue": ["ALARM"]}
    assert json.loads(subscription["redrivePolicy"]) == {"deadLetterTargetArn": DLQ}
    assert made[RULE, f"{NAME}-minute"].inputs == {"scheduleExpression": "rate(1 minute)"}
    (pattern,) = made[RULE, f"{NAME}-stopped"].inputs.values()
    assert json.loads(pattern) == {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {"clusterArn": [CLUSTER], "lastStatus": ["STOPPED"]},
    }
    for rule in ("minute", "stopped"):
        assert made[TARGET, f"{NAME}-{rule}-target"].inputs == {
            "rule": f"{NAME}-{rule}",
            "arn": arn("lambda", NAME),
            "deadLetterConfig": {"arn": DLQ},
        }


@pytest.mark.parametrize(
    ("caller", "service", "source"),
    [
        ("alarms", "sns.amazonaws.com", ALARMS),
        ("minute", "events.amazonaws.com", arn("cloudwatch", f"{NAME}-minute")),
        ("stopped", "events.amazonaws.com", arn("cloudwatch", f"{NAME}-stopped")),
    ],
)
def test_each_caller_is_admitted_by_its_arn(made: Evaluation, caller: str, service: str, source: str) -> None:
    permission = made[PERMISSION, f"{NAME}-{caller}-permission"]
    assert permission.inputs == {
        "action": "lambda:InvokeFunction",
        "function": NAME,
        "principal": service,
        "sourceArn": source,
    }
    calling = [*made.of(SUBSCRIPTION), *made.of(TARGET)]
    assert [permission.urn in each.options.depends_on for each in calling].count(True) == 1


def test_what_fails_is_kept_in_one_queue_that_admits_its_senders(made: Evaluation) -> None:
    assert made[INVOCATION, f"{NAME}-failures"].inputs == {
        "functionName": NAME,
        "destinationConfig": {"onFailure": {"destination": DLQ}},
    }
    _, *senders = json.loads(made[QUEUE_POLICY, f"{NAME}-dlq-policy"].inputs["policy"])["Statement"]
    assert [
        (of["Principal"]["Service"], of["Action"], of["Condition"]["ArnEquals"]["aws:SourceArn"])
        for of in senders
    ] == [
        ("sns.amazonaws.com", "sqs:SendMessage", ALARMS),
        ("events.amazonaws.com", "sqs:SendMessage", arn("cloudwatch", f"{NAME}-minute")),
        ("events.amazonaws.com", "sqs:SendMessage", arn("cloudwatch", f"{NAME}-stopped")),
    ]


def test_a_poison_message_raises_an_alarm(made: Evaluation) -> None:
    inputs = made[ALARM, f"{NAME}-poison"].inputs
    assert (inputs["namespace"], inputs["metricName"]) == ("statecast", "poisonMessages")
    assert inputs["dimensions"] == {"table": "statecast-state"}
    assert (inputs["statistic"], inputs["threshold"]) == ("Maximum", 0)
    assert inputs["alarmActions"] == [ALARMS]


def test_a_stop_raises_an_alarm(made: Evaluation) -> None:
    inputs = made[ALARM, f"{NAME}-stops"].inputs
    assert (inputs["namespace"], inputs["metricName"]) == ("statecast", "stoppedTasks")
    assert inputs["dimensions"] == {"table": "statecast-state"}
    assert (inputs["statistic"], inputs["threshold"]) == ("Sum", 0)
    assert inputs["comparisonOperator"] == "GreaterThanThreshold"
    assert inputs["alarmActions"] == [ALARMS]


def test_too_few_tasks_for_five_minutes_or_no_word_of_them_raise_an_alarm(made: Evaluation) -> None:
    inputs = made[ALARM, f"{NAME}-few"].inputs
    assert (inputs["namespace"], inputs["metricName"]) == ("statecast", "tasks")
    assert inputs["dimensions"] == {"table": "statecast-state"}
    assert (inputs["statistic"], inputs["threshold"]) == ("Maximum", 4)
    assert (inputs["comparisonOperator"], inputs["treatMissingData"]) == ("LessThanThreshold", "breaching")
    assert (inputs["period"], inputs["evaluationPeriods"]) == (60, 5)
    assert inputs["alarmActions"] == inputs["okActions"] == [ALARMS]


def test_tasks_that_are_unready_for_ten_minutes_raise_an_alarm(made: Evaluation) -> None:
    inputs = made[ALARM, f"{NAME}-unready"].inputs
    assert (inputs["namespace"], inputs["metricName"]) == ("statecast", "unreadyTasks")
    assert inputs["dimensions"] == {"table": "statecast-state"}
    assert (inputs["statistic"], inputs["threshold"]) == ("Minimum", 0)
    assert inputs["comparisonOperator"] == "GreaterThanThreshold"
    assert (inputs["period"], inputs["evaluationPeriods"]) == (60, 10)
    assert inputs["treatMissingData"] == "notBreaching", "that nobody counts is another alarm's"
    assert inputs["alarmActions"] == inputs["okActions"] == [ALARMS]


def test_the_archive_is_private_encrypted_over_tls_only_and_forgets() -> None:
    made = evaluate(
        lambda: ArchiveBucket("archive", ArchiveBucketArgs(retention_days=14, force_destroy=False))
    )

    assert made[BUCKET, "archive"].inputs == {"forceDestroy": False}
    assert made[PRIVATE, "archive-private"].inputs == {
        "bucket": "archive",
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    (rule,) = made[ENCRYPTION, "archive-encryption"].inputs["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    (forget,) = made[LIFECYCLE, "archive-lifecycle"].inputs["rules"]
    assert (forget["status"], forget["expiration"]) == ("Enabled", {"days": 14})
    policy: dict[str, Any] = json.loads(made[BUCKET_POLICY, "archive-policy"].inputs["policy"])
    assert policy["Statement"] == [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::archive", "arn:aws:s3:::archive/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
