"""The fleet as its leases tell it: on AWS, tasks cannot be reached."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import ExperimentError
from bench.stack import Stack
from bench.writer import now_ms
from consumer.digest import digest_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot's lease while a task holds it."""

    slot: str
    task: str
    ready: bool
    items: int
    digest: str


def live_leases(dynamodb: "DynamoDBClient", table: str) -> list[Lease]:
    """The leases that are held and have not expired, by slot."""
    now = now_ms()
    held = [
        Lease(
            slot=item["slot"]["S"],
            task=item["task"]["S"],
            ready=item.get("ready", {}).get("BOOL", False),
            items=int(item.get("items", {}).get("N", "0")),
            digest=item.get("digest", {}).get("S", ""),
        )
        for item in _scan(dynamodb, table)
        if "lease" in item and int(item["expiresAt"]["N"]) > now
    ]
    return sorted(held, key=lambda lease: int(lease.slot))


def await_ready(stack: Stack, patience_s: float) -> list[Lease]:
    """The leases once as many tasks are ready as the service wants."""
    dynamodb, ecs = stack.client("dynamodb"), stack.client("ecs")
    deadline = time.monotonic() + patience_s
    while True:
        services = ecs.describe_services(cluster=stack.outputs.cluster, services=[stack.outputs.service])[
            "services"
        ]
        wanted = sum(service["desiredCount"] for service in services)
        ready = [lease for lease in live_leases(dynamodb, stack.outputs.leases_table) if lease.ready]
        if ready and len(ready) >= wanted:
            return ready
        if time.monotonic() > deadline:
            raise ExperimentError(
                f"{len(ready)} of {wanted} tasks of stack {stack.name!r} hold a lease and are ready after "
                f"{patience_s:.0f} s: see the log group {stack.outputs.log_group}"
            )
        time.sleep(POLL_S)


def table_digest(dynamodb: "DynamoDBClient", table: str) -> str:
    """The digest of what the table holds, by a consistent scan."""
    versions = (
        (item["id"]["S"], int(item["version"]["N"])) for item in _scan(dynamodb, table) if "version" in item
    )
    return digest_of(versions)


def await_converged(stack: Stack, tasks: int, patience_s: float) -> bool:
    """Whether every live lease, and at least `tasks` of them, comes to tell the table's digest."""
    dynamodb = stack.client("dynamodb")
    deadline = time.monotonic() + patience_s
    table = table_digest(dynamodb, stack.outputs.table)
    while True:
        leases = live_leases(dynamodb, stack.outputs.leases_table)
        digests = {lease.digest for lease in leases}
        agreed = len(leases) >= tasks and len(digests) == 1
        if agreed and table not in digests:  # someone else may have written since the scan
            table = table_digest(dynamodb, stack.outputs.table)
        if agreed and table in digests:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)


def _scan(dynamodb: "DynamoDBClient", table: str) -> list[dict[str, Any]]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]
