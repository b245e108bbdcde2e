"""Tables that survive a mistake."""

import json

from pulumi_policy import Severity

from ..kinds import TABLE
from ..rule import Fixes, rule
from ..stack import Resource, stack_name, value


@rule(Severity.HIGH, TABLE, answers="AwsSolutions-DDB3 CKV_AWS_28 DynamoDB.2")
def table_recovers(table: Resource) -> Fixes:
    """Every table can be recovered to any point in time."""
    if not value(table, "pointInTimeRecovery", "enabled"):
        yield "set point_in_time_recovery, with enabled."


@rule(
    Severity.HIGH,
    TABLE,
    answers="DynamoDB.6",
    settings={"stacks": {"type": "array", "items": {"type": "string"}, "default": ["dev", "local"]}},
)
def table_is_protected(table: Resource, stacks: list[str]) -> Fixes:
    """Every table is protected from deletion, but in those `stacks` that are made to be destroyed."""
    stack = stack_name(table)
    if stack not in stacks and not value(table, "deletionProtectionEnabled"):
        config = {"table-is-protected": {"stacks": [*stacks, stack]}}
        yield (
            "set deletion_protection_enabled to True; or, to have the stack destroyed, give "
            f"--policy-pack-config FILE, where FILE is {json.dumps(config)}."
        )
