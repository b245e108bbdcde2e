import json
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from components.consumer_image import ConsumerImage, ConsumerImageArgs
from components.consumer_service import ConsumerService, ConsumerServiceArgs
from components.leases_table import LeasesTable, LeasesTableArgs
from components.network import Network, NetworkArgs
from components.state_table import StateTable, StateTableArgs
from components.task_slots import TaskSlots, TaskSlotsArgs
from consumer.health import START_SECONDS
from tests.program.conftest import Evaluation, evaluate

DIGEST = "sha256:" + "a" * 64
REPOSITORY, BUILT = "aws:ecr/repository:Repository", "docker-build:index:Image"
SERVICE, TASKS = "aws:ecs/service:Service", "aws:ecs/taskDefinition:TaskDefinition"
SCALING, TRACKING = "aws:appautoscaling/target:Target", "aws:appautoscaling/policy:Policy"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
NUMBERS = {"retention_seconds": 600, "visibility_timeout_seconds": 30, "max_receives": 5}


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:eu-south-1:123456789012:{name}"


def image(uri: str) -> tuple[Evaluation, str, str | None]:
    found: list[str | None] = []

    def program() -> None:
        made = ConsumerImage("image", ConsumerImageArgs(uri=uri, force_delete=True))
        pulumi.Output.all(made.uri, made.repository_arn).apply(found.extend)

    evaluation = evaluate(program)
    assert found[0]
    return evaluation, found[0], found[1]


def service(uri: str = f"registry/consumer@{DIGEST}", **changed: Any) -> Evaluation:
    args = {
        **{
            "region": "eu-south-1",
            "alarm_topic_arn": "alarms",
            "variants": ("lambda", "pipe"),
            "long_poll_seconds": 20,
            "lease_seconds": 45,
            "watermark_seconds": 10,
            "rescan_seconds": 900,
            "traces_endpoint": "",
            "tasks_min": 2,
            "tasks_max": 2,
        },
        **{"scaling_metric": "", "scaling_target": 0, "log_retention_days": 14},
        **{"deployment_minimum_percent": 100, "deployment_maximum_percent": 200},
        **changed,
    }

    def program() -> None:
        topic = "changes" if args["variants"] != ("poll",) else None
        slots = TaskSlotsArgs(count=2, topic_arn=topic, alarm_topic_arn="alarms", **NUMBERS)
        pieces = {
            "image": ConsumerImage("image", ConsumerImageArgs(uri=uri, force_delete=True)),
            "table": StateTable("state", StateTableArgs(deletion_protection=True)),
            "leases": LeasesTable("leases", LeasesTableArgs(deletion_protection=False)),
            "slots": TaskSlots("slot", slots),
            "network": Network(
                "net", NetworkArgs(kind="endpoints", region="eu-south-1", zones=("a", "b"), queues=True)
            ),
        }
        ConsumerService("tasks", ConsumerServiceArgs(**pieces, **args))

    return evaluate(program)


def statements(made: Evaluation, role: str) -> Any:
    return json.loads(made[ROLE_POLICY, f"{role}-policy"].inputs["policy"])["Statement"]


def test_a_given_image_is_used_as_it_is() -> None:
    made, uri, repository = image(f"ghcr.io/statecast/consumer@{DIGEST}")

    assert made.types == {}
    assert (uri, repository) == (f"ghcr.io/statecast/consumer@{DIGEST}", None)


def test_without_one_the_image_is_built_into_a_repository_and_named_by_digest() -> None:
    made, uri, repository = image("")

    assert made.types == {REPOSITORY: 1, BUILT: 1}
    assert made[REPOSITORY, "image"].inputs == {
        "imageTagMutability": "IMMUTABLE",
        "imageScanningConfiguration": {"scanOnPush": True},
        "forceDelete": True,
    }
    built = made[BUILT, "image"].inputs
    assert built["buildOnPreview"] is False
    assert built["context"] == {"location": "container"}
    assert built["platforms"] == ["linux/arm64"]
    assert built["exports"] == [{"raw": "type=registry,push-by-digest=true,name=registry/image"}]
    assert built["registries"] == rpc.wrap_rpc_secret(
        [{"address": "registry/image", "username": "AWS", "password": "secret"}]
    )
    assert uri == "registry/image@sha256:" + "d" * 64
    assert repository == arn("ecr", "image")


@pytest.mark.parametrize(
    ("uri", "repository"),
    [
        (
            f"123456789012.dkr.ecr.eu-south-1.amazonaws.com/team/consumer@{DIGEST}",
            "arn:aws:ecr:eu-south-1:123456789012:repository/team/consumer",
        ),
        (f"public.ecr.aws/team/consumer@{DIGEST}", None),
        (f"localhost/consumer@{DIGEST}", None),
    ],
)
def test_an_image_in_ecr_tells_its_repository(uri: str, repository: str | None) -> None:
    assert image(uri)[2] == repository


def test_a_service_is_a_cluster_a_task_definition_two_roles_a_log_and_a_scalable_target() -> None:
    made = service()

    assert {(type_, name) for parent, type_, name in made.children if parent.startswith("tasks")} == {
        ("aws:ecs/cluster:Cluster", "tasks"),
        (TASKS, "tasks"),
        (SERVICE, "tasks"),
        (SCALING, "tasks-scaling"),
        ("aws:cloudwatch/logGroup:LogGroup", "tasks-logs"),
        ("statecast:components:ServiceRole", "tasks-role"),
        ("aws:iam/role:Role", "tasks-role"),
        (ROLE_POLICY, "tasks-role-policy"),
        ("statecast:components:ServiceRole", "tasks-execution-role"),
        ("aws:iam/role:Role", "tasks-execution-role"),
        (ROLE_POLICY, "tasks-execution-role-policy"),
        ("statecast:components:FreshnessAlarms", "tasks-freshness"),
        (ALARM, "tasks-freshness-lambda-late"),
        (ALARM, "tasks-freshness-pipe-late"),
        (ALARM, "tasks-freshness-lambda-slow"),
        (ALARM, "tasks-freshness-pipe-slow"),
        (ALARM, "tasks-freshness-repairs"),
    }


def test_a_task_is_small_arm_and_has_the_two_roles() -> None:
    inputs = dict(service()[TASKS, "tasks"].inputs)
    inputs.pop("containerDefinitions")

    assert inputs == {
        "family": "tasks-test",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "cpu": "256",
        "memory": "512",
        "taskRoleArn": arn("iam", "tasks-role"),
        "executionRoleArn": arn("iam", "tasks-execution-role"),
    }


def test_a_task_sends_traces_where_the_stack_says_by_opentelemetrys_own_variables() -> None:
    made = service(traces_endpoint="https://collector.example.com")
    (container,) = json.loads(made[TASKS, "tasks"].inputs["containerDefinitions"])
    environment = {entry["name"]: entry["value"] for entry in container["environment"]}
    assert {name: value for name, value in environment.items() if name.startswith("OTEL_")} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.com",
        "OTEL_SERVICE_NAME": "statecast",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }


def test_the_container_can_do_little_and_knows_all_it_needs() -> None:
    (container,) = json.loads(service()[TASKS, "tasks"].inputs["containerDefinitions"])

    assert {entry["name"]: entry["value"] for entry in container.pop("environment")} == {
        "STATECAST_VARIANTS": '["lambda", "pipe"]',
        "STATECAST_TABLE": "state",
        "STATECAST_LEASES_TABLE": "leases",
        "STATECAST_SLOTS": "2",
        "STATECAST_SLOT_QUEUE_URLS": '["https://sqs/slot-00", "https://sqs/slot-01"]',
        "STATECAST_LONG_POLL_SECONDS": "20",
        "STATECAST_VISIBILITY_TIMEOUT_SECONDS": "30",
        "STATECAST_SLOT_RETENTION_SECONDS": "600",
        "STATECAST_MAX_RECEIVES": "5",
        "STATECAST_LEASE_SECONDS": "45",
        "STATECAST_WATERMARK_SECONDS": "10",
        "STATECAST_RESCAN_SECONDS": "900",
        "STATECAST_PORT": "8080",
    }
    assert container == {
        "name": "consumer",
        "image": f"registry/consumer@{DIGEST}",
        "essential": True,
        "command": ["python", "-m", "consumer"],
        "user": "10001:10001",
        "readonlyRootFilesystem": True,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        "healthCheck": {
            "command": ["CMD", "python", "-m", "consumer.check"],
            "interval": 10,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 300,
        },
        "stopTimeout": 30,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "tasks-logs",
                "awslogs-region": "eu-south-1",
                "awslogs-stream-prefix": "task",
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }


def test_a_failed_check_counts_only_once_a_task_is_no_longer_starting() -> None:
    (container,) = json.loads(service()[TASKS, "tasks"].inputs["containerDefinitions"])
    check = container["healthCheck"]
    assert START_SECONDS + check["interval"] + check["timeout"] < check["startPeriod"]


READING = {
    "Effect": "Allow",
    "Action": ["dynamodb:Scan", "dynamodb:GetItem"],
    "Resource": arn("dynamodb", "state"),
}
LEASING = {
    "Effect": "Allow",
    "Action": ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"],
    "Resource": arn("dynamodb", "leases"),
}


def test_a_task_may_use_its_slots_read_the_table_lease_and_write_watermarks_and_nothing_else() -> None:
    assert statements(service(), "tasks-role") == [
        {
            "Effect": "Allow",
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            "Resource": [arn("sqs", "slot-00"), arn("sqs", "slot-01")],
        },
        READING,
        LEASING,
        {
            "Effect": "Allow",
            "Action": ["dynamodb:UpdateItem"],
            "Resource": arn("dynamodb", "state"),
            "Condition": {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["statecast:watermark:*"]},
            },
        },
    ]


def test_a_task_that_polls_may_read_the_table_and_lease_and_has_slots_by_number() -> None:
    made = service(variants=("poll",))

    assert statements(made, "tasks-role") == [READING, LEASING]
    (container,) = json.loads(made[TASKS, "tasks"].inputs["containerDefinitions"])
    environment = {entry["name"]: entry["value"] for entry in container["environment"]}
    assert environment["STATECAST_VARIANTS"] == '["poll"]'
    assert (environment["STATECAST_SLOTS"], environment["STATECAST_SLOT_QUEUE_URLS"]) == ("2", "[]")
    assert made.of("aws:sqs/queue:Queue") == []
    assert [alarm.name for alarm in made.of(ALARM)] == ["tasks-freshness-poll-slow"]


def test_push_that_is_late_by_any_forwarder_and_changes_that_were_missed_raise_alarms() -> None:
    made = service(watermark_seconds=20)

    told = {
        "namespace": "statecast",
        "period": 60,
        "evaluationPeriods": 1,
        "comparisonOperator": "GreaterThanThreshold",
        "treatMissingData": "notBreaching",
        "alarmActions": ["alarms"],
        "okActions": ["alarms"],
    }
    for forwarder in ("lambda", "pipe"):
        inputs = dict(made[ALARM, f"tasks-freshness-{forwarder}-late"].inputs)
        assert inputs.pop("alarmDescription")
        assert inputs == told | {
            "metricName": "watermarkLag",
            "dimensions": {"table": "state", "forwarder": forwarder},
            "statistic": "Maximum",
            "threshold": 26_000,
            "treatMissingData": "breaching",  # a fleet without tasks tells nothing
        }
    inputs = dict(made[ALARM, "tasks-freshness-repairs"].inputs)
    assert inputs.pop("alarmDescription")
    assert inputs == told | {
        "metricName": "repairs",
        "dimensions": {"table": "state"},
        "statistic": "Sum",
        "threshold": 0,
    }


LOGGING = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": f"{arn('cloudwatch', 'tasks-logs')}:*",
}


def test_ecs_may_write_the_log_and_pull_from_the_repository_that_the_image_is_in() -> None:
    assert statements(service(), "tasks-execution-role") == [LOGGING]
    assert statements(service(uri=""), "tasks-execution-role") == [
        LOGGING,
        {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
            "Resource": arn("ecr", "image"),
        },
    ]


def test_the_service_deploys_by_turns_and_rolls_back() -> None:
    made = service()

    assert made[SERVICE, "tasks"].inputs == {
        "cluster": arn("ecs", "cluster/tasks"),
        "taskDefinition": arn("ecs", "tasks"),
        "launchType": "FARGATE",
        "desiredCount": 2,
        "deploymentMinimumHealthyPercent": 100,
        "deploymentMaximumPercent": 200,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "networkConfiguration": {
            "subnets": ["net-private-a-id", "net-private-b-id"],
            "securityGroups": ["net-tasks-id"],
            "assignPublicIp": False,
        },
        "waitForSteadyState": True,
    }
    for role in ("tasks-role", "tasks-execution-role"):
        assert made[ROLE_POLICY, f"{role}-policy"].urn in made[SERVICE, "tasks"].options.depends_on


def test_tasks_are_there_before_the_alarms_on_what_they_tell() -> None:
    made = service()

    for name in ("lambda-late", "pipe-slow", "repairs"):
        assert made[SERVICE, "tasks"].urn in made[ALARM, f"tasks-freshness-{name}"].options.depends_on


def test_the_count_is_the_programs_where_no_metric_is_tracked() -> None:
    assert service(tasks_max=6)[SERVICE, "tasks"].options.ignore_changes == []


def test_a_fixed_count_is_the_programs_and_nothing_is_tracked() -> None:
    made = service()

    assert made[SERVICE, "tasks"].options.ignore_changes == []
    assert made[SCALING, "tasks-scaling"].inputs == {
        "serviceNamespace": "ecs",
        "scalableDimension": "ecs:service:DesiredCount",
        "resourceId": "service/tasks/tasks",
        "minCapacity": 2,
        "maxCapacity": 2,
    }
    assert made.of(TRACKING) == []


@pytest.mark.parametrize(
    ("metric", "predefined"),
    [("cpu", "ECSServiceAverageCPUUtilization"), ("memory", "ECSServiceAverageMemoryUtilization")],
)
def test_with_room_to_scale_the_count_is_left_to_what_tracks_the_metric(metric: str, predefined: str) -> None:
    made = service(tasks_max=6, scaling_metric=metric, scaling_target=60)

    assert made[SERVICE, "tasks"].options.ignore_changes == ["desiredCount"]
    assert made[SCALING, "tasks-scaling"].inputs["maxCapacity"] == 6
    assert made[TRACKING, "tasks-tracking"].inputs == {
        "policyType": "TargetTrackingScaling",
        "serviceNamespace": "ecs",
        "scalableDimension": "ecs:service:DesiredCount",
        "resourceId": "service/tasks/tasks",
        "targetTrackingScalingPolicyConfiguration": {
            "predefinedMetricSpecification": {"predefinedMetricType": predefined},
            "targetValue": 60,
        },
    }
