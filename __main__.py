"""The program: settings, one line per piece, exports. A stack deploys the fleet or the hand-off."""

import asyncio

import pulumi

import handoff
import settings as configuration
from components.alarm_topic import AlarmTopic, AlarmTopicArgs
from components.change_topic import ChangeTopic
from components.consumer_image import ConsumerImage, ConsumerImageArgs
from components.consumer_service import ConsumerService, ConsumerServiceArgs
from components.dashboard import Dashboard, DashboardArgs
from components.forwarders import FORWARDERS, Forwarder, ForwarderArgs
from components.leases_table import LeasesTable, LeasesTableArgs
from components.network import Network, NetworkArgs
from components.reaper import Reaper, ReaperArgs
from components.redriver import Redriver, RedriverArgs
from components.state_table import StateTable, StateTableArgs
from components.task_slots import TaskSlots, TaskSlotsArgs, slot_count
from components.write_api import WriteApi, WriteApiArgs
from settings import Settings


def fleet(settings: Settings) -> None:
    """A table, and the tasks that follow it."""
    alarms = AlarmTopic("statecast-alarms", AlarmTopicArgs(email=settings.alarm_email))
    table = StateTable("statecast-state", StateTableArgs(deletion_protection=settings.deletion_protection))
    api = None
    forwarders: dict[str, Forwarder] = {}
    if settings.write_api != "none":
        api = WriteApi(
            "statecast-api",
            WriteApiArgs(
                table=table,
                through=settings.write_api,
                api_key_expires=settings.write_api_key_expires,
                log_retention_days=settings.log_retention_days,
            ),
        )
    topic = ChangeTopic("statecast-changes") if settings.forwarders else None
    if topic:
        redriver = Redriver(
            "statecast-redriver",
            RedriverArgs(
                table=table,
                topic_arn=topic.arn,
                publisher_path=topic.publisher_path,
                alarm_topic_arn=alarms.arn,
                log_retention_days=settings.log_retention_days,
            ),
        )
        route = ForwarderArgs(
            stream_arn=table.stream_arn,
            topic_arn=topic.arn,
            publisher_path=topic.publisher_path,
            failure_queue_arn=redriver.failure_queue_arn,
            alarm_topic_arn=alarms.arn,
            log_retention_days=settings.log_retention_days,
        )
        forwarders = {
            name: FORWARDERS[name](f"statecast-{name}", route, settings) for name in settings.forwarders
        }
    slots = TaskSlots(
        "statecast-slot",
        TaskSlotsArgs(
            count=slot_count(settings.tasks_max, settings.deployment_maximum_percent),
            topic_arn=topic.arn if topic else None,
            alarm_topic_arn=alarms.arn,
            retention_seconds=settings.slot_retention_seconds,
            visibility_timeout_seconds=settings.visibility_timeout_seconds,
            max_receives=settings.max_receives,
        ),
    )
    leases = LeasesTable(
        "statecast-leases", LeasesTableArgs(deletion_protection=settings.deletion_protection)
    )
    network = Network(
        "statecast-network",
        NetworkArgs(
            kind=settings.network,
            region=settings.region,
            zones=settings.zones,
            queues=bool(settings.forwarders),
            vpc_id=settings.vpc_id,
            subnet_ids=settings.subnet_ids,
        ),
    )
    image = ConsumerImage(
        "statecast-image", ConsumerImageArgs(uri=settings.image, force_delete=settings.force_destroy)
    )
    service = ConsumerService(
        "statecast-tasks",
        ConsumerServiceArgs(
            image=image,
            table=table,
            leases=leases,
            slots=slots,
            network=network,
            alarm_topic_arn=alarms.arn,
            region=settings.region,
            variants=settings.variants,
            long_poll_seconds=settings.long_poll_seconds,
            lease_seconds=settings.lease_seconds,
            watermark_seconds=settings.watermark_seconds,
            rescan_seconds=settings.rescan_seconds,
            traces_endpoint=settings.traces_endpoint,
            tasks_min=settings.tasks_min,
            tasks_max=settings.tasks_max,
            scaling_metric=settings.scaling_metric,
            scaling_target=settings.scaling_target,
            deployment_minimum_percent=settings.deployment_minimum_percent,
            deployment_maximum_percent=settings.deployment_maximum_percent,
            log_retention_days=settings.log_retention_days,
        ),
    )
    reaper = None
    if slots.queues:
        reaper = Reaper(
            "statecast-reaper",
            ReaperArgs(
                table=table,
                leases=leases,
                slots=slots,
                tasks_min=settings.tasks_min,
                service=service,
                alarm_topic_arn=alarms.arn,
                retention_days=settings.log_retention_days,
                force_destroy=settings.force_destroy,
            ),
        )
    Dashboard(
        "statecast-dashboard",
        DashboardArgs(
            table=table,
            api=api,
            forwarders=forwarders,
            slots=slots,
            region=settings.region,
            watermark_seconds=settings.watermark_seconds,
        ),
    )

    pulumi.export("apiUrl", api.url if api else "")
    pulumi.export("table", table.table_name)
    pulumi.export("streamArn", table.stream_arn)
    pulumi.export("topicArn", topic.arn if topic else "")
    pulumi.export("leasesTable", leases.table_name)
    pulumi.export("slots", slots.descriptions)
    pulumi.export("cluster", service.cluster_name)
    pulumi.export("service", service.service_name)
    pulumi.export("logGroup", service.log_group_name)
    pulumi.export("variants", list(settings.variants))
    pulumi.export("archive", reaper.archive_name if reaper else "")


async def deploy() -> None:
    """Deploy what the stack's settings ask for."""
    settings = configuration.read()
    if settings.deploys == "fleet":
        fleet(settings)
    else:
        handoff.deploy(settings)
    # Registrations begin in the event loop's next turn, and Pulumi's wait must find them begun (decision 28).
    await asyncio.sleep(0)


pulumi.run(deploy)
