"""The tasks that hold the table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.consumer_image import ConsumerImage
from components.freshness_alarms import FreshnessAlarms, FreshnessAlarmsArgs
from components.json_text import json_text
from components.leases_table import LeasesTable
from components.network import Network
from components.policy_document import Statement, allow
from components.service_role import ServiceRole, ServiceRoleArgs
from components.state_table import StateTable
from components.task_slots import TaskSlots

# The article's task size; of Fargate's, the smallest.
CPU = "256"
MEMORY = "512"
# On the task's loopback, which its health check shares and nobody else reaches.
PORT = 8080
# Not root. By number, so the image need not name it.
USER = "10001:10001"
METRICS = {"cpu": "ECSServiceAverageCPUUtilization", "memory": "ECSServiceAverageMemoryUtilization"}


@dataclass(frozen=True, kw_only=True)
class ConsumerServiceArgs:
    """What a ConsumerService is made of."""

    image: ConsumerImage  # what each task runs
    table: StateTable  # the table that each task holds
    leases: LeasesTable  # where the slots' leases are
    slots: TaskSlots  # the slots that tasks lease
    variants: Sequence[str]  # the forwarders that bring changes, or `poll` alone
    network: Network  # where the tasks run
    alarm_topic_arn: pulumi.Input[str]  # who is told when changes come late, or were missed
    region: str  # the region of the tasks' log
    long_poll_seconds: int  # how long a receive waits for a message
    lease_seconds: int  # how long a task holds its slot without renewing
    watermark_seconds: int  # how often a watermark is written
    rescan_seconds: int  # how often a task reads the whole table again
    traces_endpoint: str  # where traces are sent by OTLP over HTTP; empty for none
    tasks_min: int  # tasks that always run
    tasks_max: int  # tasks that may run at most
    scaling_metric: Literal["", "cpu", "memory"]  # what to track between the two: empty for nothing
    scaling_target: int  # the metric's target, percent
    deployment_minimum_percent: int  # tasks that stay healthy during a deployment, percent
    deployment_maximum_percent: int  # tasks that may run during a deployment, percent
    log_retention_days: pulumi.Input[int]  # how long the tasks' log is kept


class ConsumerService(pulumi.ComponentResource):
    """A Fargate service whose every task leases a slot and holds the whole table."""

    cluster_name: pulumi.Output[str]
    cluster_arn: pulumi.Output[str]
    service_name: pulumi.Output[str]
    log_group_name: pulumi.Output[str]  # the log group of all tasks

    def __init__(
        self, name: str, args: ConsumerServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("statecast:components:ConsumerService", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs", retention_in_days=args.log_retention_days, opts=child_opts
        )
        task_role = ServiceRole(
            f"{name}-role",
            ServiceRoleArgs(service="ecs-tasks.amazonaws.com", statements=_task_statements(args)),
            opts=child_opts,
        )
        execution_role = ServiceRole(
            f"{name}-execution-role",
            ServiceRoleArgs(
                service="ecs-tasks.amazonaws.com", statements=_execution_statements(args, logs.arn)
            ),
            opts=child_opts,
        )
        cluster = aws.ecs.Cluster(name, opts=child_opts)
        task_definition = aws.ecs.TaskDefinition(
            name,
            family=f"{name}-{pulumi.get_stack()}",
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            runtime_platform={"cpu_architecture": "ARM64", "operating_system_family": "LINUX"},
            cpu=CPU,
            memory=MEMORY,
            task_role_arn=task_role.arn,
            execution_role_arn=execution_role.arn,
            container_definitions=json_text([_container(args, logs.name)]),
            opts=child_opts,
        )
        # Where a metric is tracked, scaling owns the count and an `up` must not reset it. Elsewhere the
        # program does: to register a target moves no task.
        service = aws.ecs.Service(
            name,
            cluster=cluster.arn,
            task_definition=task_definition.arn,
            launch_type="FARGATE",
            desired_count=args.tasks_min,
            deployment_minimum_healthy_percent=args.deployment_minimum_percent,
            deployment_maximum_percent=args.deployment_maximum_percent,
            deployment_circuit_breaker={"enable": True, "rollback": True},
            # Else `up` is green while tasks fail to start, and deletes the definition that a rollback needs.
            wait_for_steady_state=True,
            network_configuration={
                "subnets": args.network.subnet_ids,
                "security_groups": [args.network.task_security_group_id],
                "assign_public_ip": False,
            },
            # A task that starts before its slot is subscribed misses changes; without a way to AWS it fails.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[task_role, execution_role, args.slots, args.network],
                ignore_changes=["desiredCount"] if args.scaling_metric else None,
            ),
        )
        scalable = aws.appautoscaling.Target(
            f"{name}-scaling",
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=pulumi.Output.format("service/{0}/{1}", cluster.name, service.name),
            min_capacity=args.tasks_min,
            max_capacity=args.tasks_max,
            opts=child_opts,
        )
        if args.scaling_metric:
            aws.appautoscaling.Policy(
                f"{name}-tracking",
                policy_type="TargetTrackingScaling",
                service_namespace=scalable.service_namespace,
                scalable_dimension=scalable.scalable_dimension,
                resource_id=scalable.resource_id,
                target_tracking_scaling_policy_configuration={
                    "predefined_metric_specification": {
                        "predefined_metric_type": METRICS[args.scaling_metric]
                    },
                    "target_value": args.scaling_target,
                },
                opts=child_opts,
            )

        FreshnessAlarms(
            f"{name}-freshness",
            FreshnessAlarmsArgs(
                table_name=args.table.table_name,
                forwarders=args.variants if args.slots.queues else [],
                watermark_seconds=args.watermark_seconds,
                alarm_topic_arn=args.alarm_topic_arn,
                told_by=service,
            ),
            opts=child_opts,
        )

        self.cluster_name = cluster.name
        self.cluster_arn = cluster.arn
        self.service_name = service.name
        self.log_group_name = logs.name
        self.register_outputs({"cluster": cluster.name, "service": service.name, "logGroup": logs.name})


def _task_statements(args: ConsumerServiceArgs) -> Sequence[Statement]:
    statements = [
        allow(["dynamodb:Scan", "dynamodb:GetItem"], args.table.table_arn),
        allow(["dynamodb:BatchGetItem", "dynamodb:UpdateItem"], args.leases.table_arn),
    ]
    if not args.slots.queues:
        return statements
    # LeadingKeys: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    watermarks = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["statecast:watermark:*"]}}
    return [
        allow(["sqs:ReceiveMessage", "sqs:DeleteMessage"], [queue.arn for queue in args.slots.queues]),
        *statements,
        allow(["dynamodb:UpdateItem"], args.table.table_arn, watermarks),
    ]


def _execution_statements(
    args: ConsumerServiceArgs, log_group_arn: pulumi.Output[str]
) -> Sequence[Statement]:
    logging = allow(
        ["logs:CreateLogStream", "logs:PutLogEvents"], pulumi.Output.format("{0}:*", log_group_arn)
    )
    if args.image.repository_arn is None:
        return [logging]
    return [
        logging,
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
            args.image.repository_arn,
        ),
    ]


def _container(args: ConsumerServiceArgs, log_group_name: pulumi.Output[str]) -> dict[str, object]:
    environment = {
        "STATECAST_VARIANTS": json.dumps(args.variants),
        "STATECAST_TABLE": args.table.table_name,
        "STATECAST_LEASES_TABLE": args.leases.table_name,
        "STATECAST_SLOTS": str(args.slots.args.count),
        "STATECAST_SLOT_QUEUE_URLS": json_text([queue.url for queue in args.slots.queues]),
        "STATECAST_LONG_POLL_SECONDS": str(args.long_poll_seconds),
        "STATECAST_VISIBILITY_TIMEOUT_SECONDS": str(args.slots.args.visibility_timeout_seconds),
        "STATECAST_SLOT_RETENTION_SECONDS": str(args.slots.args.retention_seconds),
        "STATECAST_MAX_RECEIVES": str(args.slots.args.max_receives),
        "STATECAST_LEASE_SECONDS": str(args.lease_seconds),
        "STATECAST_WATERMARK_SECONDS": str(args.watermark_seconds),
        "STATECAST_RESCAN_SECONDS": str(args.rescan_seconds),
        "STATECAST_PORT": str(PORT),
    }
    if args.traces_endpoint:
        # https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
        environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": args.traces_endpoint,
            "OTEL_SERVICE_NAME": "statecast",
            "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={pulumi.get_stack()}",
        }
    return {
        "name": "consumer",
        "image": args.image.uri,
        "essential": True,
        "command": ["python", "-m", "consumer"],
        "environment": [{"name": key, "value": value} for key, value in environment.items()],
        "user": USER,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        # The image has no curl, and a Dockerfile's HEALTHCHECK does not count here.
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
                "awslogs-group": log_group_name,
                "awslogs-region": args.region,
                "awslogs-stream-prefix": "task",
                # Where logs are not taken, a line is lost rather than every thread held up:
                # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }
