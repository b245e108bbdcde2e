"""What is in a function's or a container's environment can be read by whoever may describe it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_policy import Severity

from ..kinds import FUNCTION, TASK_DEFINITION
from ..rule import Fixes, rule
from ..stack import Resource, known, value

SECRET_NAME = re.compile(
    r"(?i)(^|_)(secret|password|passwd|pass|passphrase|token|credentials?|(api|access|private|secret)_?key)$"
)
# An access key of AWS, a private key, a token of GitHub or Slack, a URL with a password that is no ${…}.
SECRET_VALUE = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\b(gh[pousr]_|xox[abp]-)\w{10}"
    r"|://[^/\s:@]*:[^/\s@${]+@"
)


@rule(Severity.CRITICAL, FUNCTION, TASK_DEFINITION, answers="CKV_AWS_45 ECS.8")
def environment_has_no_secret(runner: Resource) -> Fixes:
    """No function and no container has a secret in its environment, by its name or by its value."""
    for name, text in _variables(runner):
        if SECRET_NAME.search(name) or SECRET_VALUE.search(text):
            yield f"keep {name} in Secrets Manager, and pass its ARN as {name}_ARN, or a container a secret."


def _variables(runner: Resource) -> Iterator[tuple[str, str]]:
    if runner.resource_type == FUNCTION:
        names: Mapping[str, Any] = value(runner, "environment", "variables") or {}
        yield from ((name, str(known(runner, "environment", "variables", name))) for name in names)
    else:
        for container in json.loads(value(runner, "containerDefinitions") or "[]"):
            yield from ((each["name"], str(each.get("value"))) for each in container.get("environment") or ())
