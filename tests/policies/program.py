"""Every case in one stack: the program that the engine plans for `test_policy_rules.py`."""

from tests.policies.cases import dlq_alarm_has_actions, dlq_has_alarm, queue_has_dlq

CASES = [*queue_has_dlq.cases, *dlq_has_alarm.cases, *dlq_alarm_has_actions.cases]


def build() -> None:
    for case in CASES:
        case.build(case.at)
