"""The rules, all that these modules define: `policies` makes what a `PolicyPack` takes of any of them."""

from ..rule import Rule
from . import (
    alarms,
    appsync,
    dead_letter_queues,
    ecs,
    encryption,
    environment,
    functions,
    iam,
    logs,
    resource_policies,
    streams,
    tables,
)

MODULES = (
    *(dead_letter_queues, alarms, functions, encryption, resource_policies, streams),
    *(iam, ecs, appsync, logs, tables, environment),
)
RULES: list[Rule] = [each for module in MODULES for each in vars(module).values() if isinstance(each, Rule)]
