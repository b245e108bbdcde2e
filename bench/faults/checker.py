"""What became of every acknowledged write, in the manner of jepsen's set-full. Pure; clocks in Unix ms."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from bench.burst import DEADLINE_MS
from bench.deliveries import Delivery
from bench.faults.schedule import ONE_CUT, PUSH_CUT, THROWS
from bench.fleet import Lease
from bench.statistics import acknowledged
from bench.writer import Write

BACKLOG_MS = 10_000
"""How long a forwarder may take for the backlog of an outage."""
Held = Mapping[str, int]
"""Id → version."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An acknowledged write that a task neither holds nor holds superseded or deleted, at the end.

    | kind | the task holds |
    |---|---|
    | `lost` | nothing of an item that exists |
    | `stale` | an older version |
    | `resurrected` | an item that this write has deleted |
    """

    id: str
    version: int
    task: str
    kind: Literal["lost", "stale", "resurrected"]
    held: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at a moment; `wanted` is how many tasks the service wants."""

    at: int
    wanted: int
    leases: Sequence[Lease]


@dataclass(frozen=True, slots=True)
class Life:
    """A tenure, from when to when its task was seen ready."""

    task: str
    leased_at: int
    ready_at: int
    until: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A consistent Scan of the whole table by a task."""

    task: str
    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class Behind:
    """A period in which a ready task was behind writes acknowledged over `DEADLINE_MS` before its end."""

    task: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it struck. `tasks` are those that it hit, none: all."""

    fault: str
    begin: int
    end: int
    tasks: Sequence[str] = ()
    note: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Excuse:
    """When a task that a fault hit may be behind: in its first seconds, and from its end on for some."""

    after_s: float
    first_s: int = 86_400


def check(writes: Iterable[Write], table: Held, tasks: Mapping[str, Held]) -> list[Violation]:
    """Every acknowledged write at every task, each by itself."""
    known = [(write.id, write.version or 0, write.kind) for write in acknowledged(writes)]
    deleted: defaultdict[str, int] = defaultdict(int)
    for item_id, version, kind in known:
        if kind == "delete":
            deleted[item_id] = max(deleted[item_id], version)
    found: list[Violation] = []
    for task, holds in tasks.items():
        for item_id, version, kind in known:
            held = holds.get(item_id)
            # What the table holds is right, whatever a write without an answer has made of it.
            if held == table.get(item_id) or (held or 0) >= version or version < deleted[item_id]:
                continue
            if kind != "delete":
                found.append(Violation(item_id, version, task, "stale" if held else "lost", held))
            elif held:
                found.append(Violation(item_id, version, task, "resurrected", held))
    return found


def lives(samples: Iterable[Sample]) -> list[Life]:
    """The tenures in which tasks were ready."""
    seen: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for sample in samples:
        for lease in sample.leases:
            if lease.ready:
                seen[lease.task, lease.leased_at].append(sample.at)
    return [Life(task, leased_at, moments[0], moments[-1]) for (task, leased_at), moments in seen.items()]


def counted(samples: Iterable[Sample], count: Callable[[Lease], int]) -> int:
    """What the tenures have counted, by the last that each was seen to tell."""
    last = {(lease.task, lease.leased_at): count(lease) for sample in samples for lease in sample.leases}
    return sum(last.values())


def scan_told(line: str) -> Scan | None:
    """The scan that a task's log line tells the end of, if it does."""
    if ' complete"' not in line:
        return None
    told = json.loads(line)
    return Scan(told["task"], told["at"] - round(told["seconds"] * 1000), told["at"])


def settled(samples: Iterable[Sample], digest: str) -> Iterator[Scan]:
    """Moments at which a task told the digest of the table as it was in the end: it knew all."""
    told = ((lease, sample.at) for sample in samples for lease in sample.leases)
    return (Scan(lease.task, at, at) for lease, at in told if lease.digest == digest)


def behind(
    writes: Iterable[Write], deliveries: Iterable[Delivery], scans: Iterable[Scan], tenures: Iterable[Life]
) -> list[Behind]:
    """Where a task was late, each period from the first acknowledgement on.

    A task knows a write once it has handled that version or a later one of its key, and once a scan has
    ended that began after the acknowledgement.
    """
    handled: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for delivery in deliveries:
        handled[delivery.task, delivery.id].append((delivery.applied_at, delivery.version))
    read: defaultdict[str, list[Scan]] = defaultdict(list)
    for scan in sorted(scans, key=lambda scan: scan.began):
        read[scan.task].append(scan)
    known = acknowledged(writes)
    found: list[Behind] = []
    for life in tenures:
        for write in known:
            at, version, own = write.acknowledged_at, write.version or 0, read[life.task]
            since = max(at, life.ready_at)
            came = [when for when, which in handled[life.task, write.id] if which >= version]
            later = own[bisect_left(own, at, key=lambda scan: scan.began) :][:1]
            until = min([life.until, *came, *(scan.ended for scan in later)])
            if until - since > DEADLINE_MS:
                found.append(Behind(life.task, since, until))
    return merged(found)


def merged(periods: Iterable[Behind]) -> list[Behind]:
    """Periods of a task that touch, as one."""
    joined: list[Behind] = []
    for period in sorted(periods, key=lambda one: (one.task, one.since)):
        last = joined[-1] if joined else None
        if last and last.task == period.task and period.since <= last.until:
            joined[-1] = Behind(last.task, last.since, max(last.until, period.until))
        else:
            joined.append(period)
    return joined


def explained(late: Behind, struck: Sequence[Struck], excuses: Mapping[str, Excuse | None]) -> bool:
    """Whether faults together cover a period."""
    covers: list[Behind] = []
    for one in struck:
        excuse = excuses[one.fault]
        if excuse and (not one.tasks or late.task in one.tasks):
            begin, after = one.begin - DEADLINE_MS, one.end + round(excuse.after_s * 1000)
            covers.append(Behind(late.task, begin, min(after, one.begin + excuse.first_s * 1000)))
            covers.append(Behind(late.task, one.end - DEADLINE_MS, after))
    covers += [Behind(late.task, since, until) for since, until in both_behind(struck)]
    return any(cover.since <= late.since and late.until <= cover.until for cover in merged(covers))


def both_behind(struck: Sequence[Struck]) -> Iterator[tuple[int, int]]:
    """When one forwarder was cut while the other was still at the backlog of an outage, from when until when.

    Until that is drained nobody brings the newest changes. Tasks do not poll for it: no watermark is late yet
    of the one that was cut.
    """
    for cut, outage in product(struck, repeat=2):
        drained = outage.end + BACKLOG_MS
        if cut.fault == ONE_CUT and outage.fault in {PUSH_CUT, THROWS} and outage.end <= cut.begin <= drained:
            yield outage.end - DEADLINE_MS, max(drained, cut.begin + DEADLINE_MS)


def recovery_ms(one: Struck, samples: Iterable[Sample], late: Sequence[Behind]) -> int | None:
    """From a fault's end until all wanted tasks were ready and none was late; None: they never were.

    What a task that it hit held before does not count: the lease of one that was killed lasts.
    """
    for sample in samples:
        ready = [
            lease
            for lease in sample.leases
            if lease.ready and (lease.task not in one.tasks or lease.leased_at > one.end)
        ]
        if (
            sample.at >= one.end
            and len(ready) >= sample.wanted
            and not any(period.since <= sample.at < period.until for period in late)
        ):
            return sample.at - one.end
    return None
