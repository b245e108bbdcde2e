"""The fleet as its leases tell it: on AWS, tasks cannot be reached."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bench.errors import ExperimentError
from bench.report.terminal import table_of
from bench.stack import Stack, find
from bench.writer import now_ms
from consumer.digest import digest_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

POLL_S = 1.0
COLUMNS = ("items", "digest", "mode", "ready")


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot's lease while a task holds it."""

    slot: str
    task: str
    leased_at: int
    ready: bool
    mode: str
    items: int
    digest: str
    lag: dict[str, int]
    clock_error_bound_ms: int | None = None
    fallbacks: int = 0
    repairs: int = 0


def live_leases(dynamodb: "DynamoDBClient", table: str) -> list[Lease]:
    """The leases that are held and have not expired, by slot."""
    now = now_ms()
    held = [
        Lease(
            slot=item["slot"]["S"],
            task=item["task"]["S"],
            leased_at=int(item["leasedAt"]["N"]),
            ready=item.get("ready", {}).get("BOOL", False),
            mode=item.get("mode", {}).get("S", ""),
            items=int(item.get("items", {}).get("N", "0")),
            digest=item.get("digest", {}).get("S", ""),
            fallbacks=int(item.get("fallbacks", {}).get("N", "0")),
            repairs=int(item.get("repairs", {}).get("N", "0")),
            clock_error_bound_ms=_number(item.get("clockErrorBound", {})),
            lag={name: int(lag["N"]) for name, lag in item.get("lag", {}).get("M", {}).items()},
        )
        for item in _scan(dynamodb, table)
        if "lease" in item and int(item["expiresAt"]["N"]) > now
    ]
    return sorted(held, key=lambda lease: int(lease.slot))


def wanted_tasks(stack: Stack) -> int:
    """How many tasks the service wants."""
    of = stack.outputs
    services = stack.client("ecs").describe_services(cluster=of.cluster, services=[of.service])["services"]
    return sum(service["desiredCount"] for service in services)


def await_ready(stack: Stack, patience_s: float, without: Collection[str] = ()) -> list[Lease]:
    """The leases once as many tasks are ready as the service wants, not counting those `without`."""
    dynamodb, deadline = stack.client("dynamodb"), time.monotonic() + patience_s
    while True:
        wanted = wanted_tasks(stack)
        leases = live_leases(dynamodb, stack.outputs.leases_table)
        ready = [lease for lease in leases if lease.ready and lease.task not in without]
        if ready and len(ready) >= wanted:
            return ready
        if time.monotonic() > deadline:
            raise ExperimentError(
                f"{len(ready)} of {wanted} tasks of stack {stack.name!r} hold a lease and are ready after "
                f"{patience_s:.0f} s: see the log group {stack.outputs.log_group}"
            )
        time.sleep(POLL_S)


def table_versions(dynamodb: "DynamoDBClient", table: str) -> dict[str, int]:
    """The version of each item that the table holds, by a consistent scan."""
    items = _scan(dynamodb, table)
    return {item["id"]["S"]: int(item["version"]["N"]) for item in items if "version" in item}


def table_digest(dynamodb: "DynamoDBClient", table: str) -> str:
    """The digest of what the table holds."""
    return digest_of(table_versions(dynamodb, table).items())


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


def fleet(
    *, stack: Annotated[str, typer.Option(help="The stack: a local one that is up, or one on AWS.")]
) -> None:
    """Show the fleet as its leases tell it; exit 1 unless all wanted tasks are at the table's digest.

    A lease is as old as its last renewal, so under writes the tasks differ without being wrong.
    """
    found = find(stack)
    dynamodb, now = found.client("dynamodb"), now_ms()
    leases, digest = (
        live_leases(dynamodb, found.outputs.leases_table),
        table_digest(dynamodb, found.outputs.table),
    )
    forwarders = sorted({forwarder for lease in leases for forwarder in lease.lag})
    table = table_of("slot", ("task", "age, s", *(f"{name} lag, ms" for name in forwarders), *COLUMNS))
    for lease in leases:
        table.add_row(
            lease.slot,
            lease.task.rpartition("/")[2][:8],
            f"{(now - lease.leased_at) / 1000:.0f}",
            *(f"{lease.lag[name]:,}" if name in lease.lag else "–" for name in forwarders),
            f"{lease.items:,}",
            lease.digest[:8] if lease.digest == digest else f"[red]{lease.digest[:8]}[/]",
            lease.mode,
            "yes" if lease.ready else "no",
        )
    count, total = sum(lease.digest == digest for lease in leases), max(len(leases), wanted_tasks(found))
    console = Console()
    console.print(table, f"{count}/{total} tasks at digest {digest}, which is the table's", soft_wrap=True)
    if count < total:
        raise typer.Exit(1)


def _number(attribute: dict[str, Any]) -> int | None:
    return int(attribute["N"]) if "N" in attribute else None


def _scan(dynamodb: "DynamoDBClient", table: str) -> list[dict[str, Any]]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]
