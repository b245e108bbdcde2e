"""What a fleet needs of what is bounded (`quotas.toml`). Pure."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.configuration import Configuration
from bench.cost.model import (
    PUBLISH_BATCH,
    PUBLISH_S,
    RECEIVE_BATCH,
    RECEIVE_CYCLE_S,
    SPREAD,
    STREAM_POLL_S,
    Demand,
    Levers,
    Month,
    batch,
    scan_units,
    units,
)
from bench.cost.prices import prices
from bench.scale.path import Rates

HERE = Path(__file__).parent
HOUR = 3600
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html: 500 a minute.
STARTS_A_SECOND = 500 / 60
# A new table on demand takes 4,000 writes a second, a partition 1,000, and a partition is a shard:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
STREAM_SHARDS = 4
# `bench speed`: when idle, and for what the items' JSON takes.
IDLE_MIB, MEMORY_BY_JSON = 60, 3
RETENTION_S = 600
"""Of a slot's queue: what a task does not read within it, its next rescan repairs."""


class Quota(BaseModel):
    """The most of something, by a short name; `soft`: AWS raises it on request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    what: str
    most: float
    soft: bool
    source: str
    date: str


@dataclass(frozen=True)
class Need:
    """What a fleet needs of it."""

    quota: Quota
    needed: float

    @property
    def ratio(self) -> float:
        """Above 1 it is too much."""
        return self.needed / self.quota.most


def quotas() -> dict[str, Quota]:
    """All quotas, by name."""
    listed = tomllib.loads((HERE / "quotas.toml").read_text())
    return {
        key: Quota.model_validate({"name": key.replace("_", " "), **entry}) for key, entry in listed.items()
    }


def needs(of: Configuration, demand: Demand, levers: Levers, rates: Rates, packed: float = 1) -> list[Need]:
    """What a stack needs of each quota, the nearest to its end, or furthest past it, first.

    `packed`: changes in a message.
    """
    known = quotas()
    month = Month(of, demand, prices(of.region), levers, packed, watched=True)
    told = [Need(known[name], needed) for name, needed in _needs(month, rates)]
    return sorted(told, key=lambda need: need.ratio, reverse=True)


def _needs(month: Month, rates: Rates) -> Iterator[tuple[str, float]]:
    of, demand, levers = month.of, month.demand, month.levers
    tasks, slots = of.tasks_min, of.slots
    queues = slots + ceil(slots / levers.slots_per_alarm)
    scan = scan_units(demand, watermarks=True) / levers.shards
    yield "slots", slots
    yield "publishes", month.messages * len(of.forwarders)
    yield "subscribes", slots / HOUR
    yield "alarms", (queues - slots) / HOUR
    yield "graph", queues - slots
    yield "tasks", tasks
    yield "addresses", tasks * of.deployment_maximum_percent / 100
    yield "table_reads", 0 if levers.s3 else tasks * scan / RETENTION_S
    # Each task that starts reads all leases, one unit each.
    yield "lease_reads", min(tasks, STARTS_A_SECOND) * slots
    yield "table_writes", demand.changes * units(demand.item_bytes, 1024) + month.tries
    # After a watermark grows old, tasks try in this share of the period, all of the same item.
    yield "watermark_writes", tasks / (SPREAD * of.watermark_seconds)
    shard = month.messages / STREAM_SHARDS
    # A call is to one topic; packed, of one message.
    call = 1 if levers.pack else batch(shard / levers.shards, STREAM_POLL_S, PUBLISH_BATCH)
    yield "forwarding", shard / call * PUBLISH_S
    together = batch(month.copies, RECEIVE_CYCLE_S, RECEIVE_BATCH)
    calls = rates.receive.caller.of(together) + rates.delete.caller.of(together)
    yield "cpu", month.copies * (calls / together + (month.packed - 1) * rates.change)
    table = demand.items * demand.item_bytes / levers.shards / (1 << 20)
    yield "memory", IDLE_MIB + MEMORY_BY_JSON * table
