"""What stops sick tasks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.alarm import alarm_above, alarm_below
from components.archive_bucket import ArchiveBucket, ArchiveBucketArgs
from components.consumer_service import ConsumerService
from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.json_text import json_text
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from components.leases_table import LeasesTable
from components.policy_document import Statement, allow
from components.state_table import StateTable
from components.task_slots import TaskSlots
from functions.reaper.reaper_metrics import (
    NAMESPACE,
    POISON_MESSAGES,
    STOPPED_TASKS,
    TASKS,
    UNREADY_TASKS,
)

# boto3 alone takes a second of a 128 MB function's processor.
MEMORY = 256
# For 120 slots with a hundred dead letters each; what is left is for the next minute.
TIMEOUT_SECONDS = 60
# A task is replaced within two.
FEW_MINUTES = 5
# One that starts is unready for as long as it reads the table.
UNREADY_MINUTES = 10


@dataclass(frozen=True, kw_only=True)
class ReaperArgs:
    """What a Reaper is made of."""

    table: StateTable  # the table that the tasks hold: metrics are by its name
    leases: LeasesTable  # who holds which slot
    slots: TaskSlots  # the slots whose dead-letter queues it looks after
    tasks_min: int  # how many tasks there are to be at least
    service: ConsumerService  # whose tasks it may stop
    alarm_topic_arn: pulumi.Input[str]  # what calls it, and who is told of what it cannot solve
    retention_days: pulumi.Input[int]  # how long its log and the archive are kept
    force_destroy: pulumi.Input[bool]  # delete the archive with what it holds


class Reaper(pulumi.ComponentResource):
    """A function that archives dead letters and stops the tasks that are sick: on alarms, and each minute.

    When a task has stopped it gives its slot back, if the task did not.
    """

    archive_name: pulumi.Output[str]  # the bucket of the archived letters

    def __init__(self, name: str, args: ReaperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:Reaper", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        archive = ArchiveBucket(
            f"{name}-archive",
            ArchiveBucketArgs(retention_days=args.retention_days, force_destroy=args.force_destroy),
            opts=child_opts,
        )
        stopped = json_text(
            {
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {"clusterArn": [args.service.cluster_arn], "lastStatus": ["STOPPED"]},
            }
        )
        # An alarm tells of a change of state alone: what a run could not do, the next minute's does.
        rules = {
            "minute": aws.cloudwatch.EventRule(
                f"{name}-minute", schedule_expression="rate(1 minute)", opts=child_opts
            ),
            "stopped": aws.cloudwatch.EventRule(f"{name}-stopped", event_pattern=stopped, opts=child_opts),
        }
        failures = DeadLetterQueue(
            f"{name}-dlq",
            DeadLetterQueueArgs(
                alarm_topic_arn=args.alarm_topic_arn,
                sending_topic_arn=args.alarm_topic_arn,
                sending_rule_arns=[rule.arn for rule in rules.values()],
            ),
            opts=child_opts,
        )
        function = LambdaFunction(
            name,
            LambdaFunctionArgs(
                folder="reaper",
                environment={
                    "TABLE": args.table.table_name,
                    "LEASES_TABLE": args.leases.table_name,
                    "CLUSTER": args.service.cluster_arn,
                    "ARCHIVE": archive.bucket_name,
                },
                texts={
                    "queues.json": json_text([queue.dead_letter_queue.url for queue in args.slots.queues])
                },
                statements=[*_statements(args, archive), allow(["sqs:SendMessage"], failures.arn)],
                memory=MEMORY,
                timeout_seconds=TIMEOUT_SECONDS,
                log_retention_days=args.retention_days,
            ),
            opts=child_opts,
        )
        aws.lambda_.FunctionEventInvokeConfig(
            f"{name}-failures",
            function_name=function.name,
            destination_config={"on_failure": {"destination": failures.arn}},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[function]),
        )
        alarms = self._called_by("sns.amazonaws.com", f"{name}-alarms", function, args.alarm_topic_arn)
        aws.sns.TopicSubscription(
            f"{name}-alarms-subscription",
            topic=args.alarm_topic_arn,
            protocol="lambda",
            endpoint=function.arn,
            # Alarms that end, and those that begin when they are made, are no calls.
            filter_policy=json.dumps({"NewStateValue": ["ALARM"]}),
            filter_policy_scope="MessageBody",
            redrive_policy=json_text({"deadLetterTargetArn": failures.arn}),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[alarms, failures]),
        )
        for key, rule in rules.items():
            events = self._called_by("events.amazonaws.com", f"{name}-{key}", function, rule.arn)
            aws.cloudwatch.EventTarget(
                f"{name}-{key}-target",
                rule=rule.name,
                arn=function.arn,
                dead_letter_config={"arn": failures.arn},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[events, failures]),
            )
        watched: dict[str, Any] = {
            "namespace": NAMESPACE,
            "dimensions": {"table": args.table.table_name},
            "topic_arn": args.alarm_topic_arn,
            # Before there are tasks, or after, missing data would be an alarm.
            "opts": pulumi.ResourceOptions(parent=self, depends_on=[args.service]),
        }
        alarm_above(
            f"{name}-stops",
            0,
            description="A task was stopped, since it did not apply a change that the others hold: the "
            "stop's reason says which. What it did not apply is in the archive.",
            metric=STOPPED_TASKS,
            statistic="Sum",
            **watched,
        )
        alarm_below(
            f"{name}-few",
            args.tasks_min,
            minutes=FEW_MINUTES,
            description="Fewer tasks hold a slot than the service is to have, or the reaper does not run: "
            "see the service's events and the tasks' logs.",
            metric=TASKS,
            **watched,
        )
        alarm_above(
            f"{name}-unready",
            0,
            minutes=UNREADY_MINUTES,
            description="A task has not read the whole table, or cannot read it again, or no watermark comes "
            "to it: see its log.",
            metric=UNREADY_TASKS,
            # A minute is bad only if it was so throughout.
            statistic="Minimum",
            **watched,
        )
        alarm_above(
            f"{name}-poison",
            0,
            description="Most tasks refuse the same change, or more than they tell: nobody was stopped, and "
            "a person has to look. What they refused is in the archive.",
            metric=POISON_MESSAGES,
            statistic="Maximum",
            **watched,
        )

        self.archive_name = archive.bucket_name
        self.register_outputs({"archiveName": self.archive_name})

    def _called_by(
        self, service: str, name: str, function: LambdaFunction, source_arn: pulumi.Input[str]
    ) -> aws.lambda_.Permission:
        """What calls it depends on this permission."""
        return aws.lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=function.name,
            principal=service,
            source_arn=source_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _statements(args: ReaperArgs, archive: ArchiveBucket) -> Sequence[Statement]:
    tasks = args.service.cluster_arn.apply(lambda arn: f"{arn.replace(':cluster/', ':task/')}/*")
    return [
        allow(
            ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            [queue.dead_letter_queue.arn for queue in args.slots.queues],
        ),
        allow(["dynamodb:Scan", "dynamodb:UpdateItem"], args.leases.table_arn),
        allow(
            ["ecs:DescribeTasks", "ecs:StopTask"],
            tasks,
            {"ArnEquals": {"ecs:cluster": args.service.cluster_arn}},
        ),
        allow(["s3:PutObject"], pulumi.Output.format("{0}/*", archive.arn)),
    ]
