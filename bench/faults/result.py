"""From what was observed of a fault run to what it amounts to. Pure; clocks in Unix ms."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.deliveries import Delivery
from bench.faults.checker import (
    Behind,
    Held,
    Life,
    Sample,
    Scan,
    Struck,
    Violation,
    behind,
    check,
    counted,
    explained,
    lives,
    recovery_ms,
    settled,
)
from bench.faults.injection import INJECTIONS, MALFORMED
from bench.statistics import Arrival, Distribution, acknowledged, distribution, join
from bench.writer import Write
from consumer.digest import digest_of

EXCUSES = {name: fault.excuse for name, fault in INJECTIONS.items()}


@dataclass(frozen=True)
class Observation:
    """What was seen of a fault run.

    Args:
        environment: where it took place.
        first: when the schedule began.
        struck: the faults, as they struck.
        writes: all that were made, the seeds too.
        samples: the fleet, several times a second.
        started: when each task's process began.
        deliveries: what the tasks' logs tell of the writes.
        scans: what the tasks' logs tell of scans.
        table: the table at the end.
        tasks: what each ready task held at the end.
        pushed: whether all tasks were ready in time and none polled.
        converged: whether all digests were the table's in time.
        dead_letters: how many came, by slot; empty where none were asked for.
    """

    environment: Mapping[str, Any]
    first: int
    struck: Sequence[Struck]
    writes: Sequence[Write]
    samples: Sequence[Sample]
    started: Mapping[str, int]
    deliveries: Sequence[Delivery]
    scans: Sequence[Scan]
    table: Held
    tasks: Mapping[str, Held]
    pushed: bool
    converged: bool
    dead_letters: Mapping[str, int]


@dataclass(frozen=True)
class Result:
    """What it amounts to. `recoveries` are the faults', milliseconds from the end; None: never."""

    observation: Observation
    arrivals: list[Arrival]
    lives: list[Life]
    violations: list[Violation]
    behind: list[Behind]
    unexplained: list[Behind]
    recoveries: list[int | None]
    start_to_ready: Distribution

    @property
    def written(self) -> int:
        """How many writes were acknowledged."""
        return len(acknowledged(self.observation.writes))

    @property
    def kinds(self) -> dict[str, int]:
        """How many acknowledged writes are not accounted for, by kind."""
        kinds = [violation.kind for violation in self.violations]
        return {kind: kinds.count(kind) for kind in ("lost", "stale", "resurrected")}

    @property
    def fallbacks(self) -> int:
        """How often a task began to poll."""
        return counted(self.observation.samples, lambda lease: lease.fallbacks)

    @property
    def repairs(self) -> int:
        """How many differences rescans mended."""
        return counted(self.observation.samples, lambda lease: lease.repairs)

    @property
    def worst_ms(self) -> int:
        """The longest period that a task was behind."""
        return max((period.until - period.since for period in self.behind), default=0)

    @property
    def problems(self) -> list[str]:
        """Why the run failed; nothing when it passed."""
        seen = self.observation
        missing = sorted(slot for slot, count in seen.dead_letters.items() if count < MALFORMED)
        problems = {
            "no write was acknowledged": not self.written,
            "no task is live at the end": not seen.tasks,
            f"{len(self.violations)} acknowledged writes are not accounted for": self.violations,
            "tasks still polled when the time was up": not seen.pushed,
            "the digests of tasks and table are not all equal": not seen.converged,
            f"{len(self.unexplained)} periods behind that no fault explains": self.unexplained,
            f"dead-letter queues without all malformed messages: of slots {', '.join(missing)}": missing,
            **{f"{one.fault}: {one.problem}": one.problem for one in seen.struck},
        }
        return [problem for problem, is_so in problems.items() if is_so]

    def summary(self) -> dict[str, Any]:
        """`summary.json`."""
        seen = self.observation
        return {
            "environment": seen.environment,
            "writes": self.written,
            "failed_writes": len(seen.writes) - self.written,
            "tasks": len(seen.tasks),
            "deliveries": len(seen.deliveries),
            **self.kinds,
            "converged": seen.converged,
            "fallbacks": self.fallbacks,
            "repairs": self.repairs,
            "start_to_ready_ms": asdict(self.start_to_ready),
            "dead_letters": seen.dead_letters,
            "faults": [
                asdict(one) | {"recovery_ms": recovery}
                for one, recovery in zip(seen.struck, self.recoveries, strict=True)
            ],
            "violations": [asdict(violation) for violation in self.violations],
            "behind": [
                asdict(period)
                | {"ms": period.until - period.since, "explained": period not in self.unexplained}
                for period in self.behind
            ],
            "problems": self.problems,
        }


def conclude(seen: Observation) -> Result:
    """Check every acknowledged write, and every moment of every task."""
    tenures = lives(seen.samples)
    known = [*seen.scans, *settled(seen.samples, digest_of(seen.table.items()))]
    late = behind(seen.writes, seen.deliveries, known, tenures)
    ready = {life.task: life.ready_at for life in reversed(tenures)}  # a task's first tenure
    # Those that were ready before anyone looked became so nobody knows when.
    before = {lease.task for sample in seen.samples[:1] for lease in sample.leases if lease.ready}
    return Result(
        observation=seen,
        arrivals=join(seen.writes, seen.deliveries),
        lives=tenures,
        violations=check(seen.writes, seen.table, seen.tasks),
        behind=late,
        unexplained=[period for period in late if not explained(period, seen.struck, EXCUSES)],
        recoveries=[recovery_ms(one, seen.samples, late) for one in seen.struck],
        start_to_ready=distribution(
            ready[task] - began
            for task, began in seen.started.items()
            if task in ready and task not in before
        ),
    )
