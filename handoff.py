"""The hand-off experiment as a stack: one line per piece, exports."""

import pulumi

from components.alarm_topic import AlarmTopic, AlarmTopicArgs
from components.handoff import Handoff, HandoffArgs
from settings import Settings


def deploy(settings: Settings) -> None:
    """Two functions, and the ways from one to the other."""
    alarms = AlarmTopic("statecast-alarms", AlarmTopicArgs(email=settings.alarm_email))
    handoff = Handoff(
        "statecast-handoff",
        HandoffArgs(
            fan_out=settings.fan_out,
            memory=settings.lambda_memory,
            alarm_topic_arn=alarms.arn,
            log_retention_days=settings.log_retention_days,
        ),
    )

    pulumi.export("sender", handoff.sender.arn)
    pulumi.export("senderLogGroup", handoff.sender.log_group_name)
    pulumi.export("receiver", handoff.receiver.arn)
    pulumi.export("receiverLogGroup", handoff.receiver.log_group_name)
    pulumi.export("ways", list(handoff.ways))
