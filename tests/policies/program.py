"""Every case in one stack: the program that the engine plans for `test_policy_rules.py`."""

from tests.policies.case import Case
from tests.policies.cases import (
    alarm_has_actions,
    dead_letter_queues,
    dlq_alarm_rests_without_data,
    dlq_has_alarm,
    ecs,
    encryption,
    iam,
    others,
    queue_has_dlq,
    resource_policies,
    streams,
)

MODULES = (
    *(queue_has_dlq, dead_letter_queues, dlq_has_alarm, dlq_alarm_rests_without_data, alarm_has_actions),
    *(encryption, resource_policies, streams, iam, ecs, others),
)
CASES: list[Case] = [
    case
    for module in MODULES
    for cases in vars(module).values()
    if isinstance(cases, list)
    for case in cases
    if isinstance(case, Case)
]


def build() -> None:
    for case in CASES:
        case.build(case.at)
