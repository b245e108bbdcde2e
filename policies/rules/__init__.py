"""The rules, each in a file of its own: pass any of them to a `PolicyPack`."""

from pulumi_policy import Policy

from .dlq_alarm_has_actions import dlq_alarm_has_actions
from .dlq_has_alarm import dlq_has_alarm
from .queue_has_dlq import queue_has_dlq

RULES: list[Policy] = [queue_has_dlq, dlq_has_alarm, dlq_alarm_has_actions]
