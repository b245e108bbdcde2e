"""What a fault run amounts to, and how it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.deliveries import Delivery
from bench.faults.checker import (
    Held,
    Sample,
    Scan,
    Struck,
    behind,
    check,
    counted,
    explained,
    lives,
    recovery_ms,
    settled,
)
from bench.faults.injection import INJECTIONS, MALFORMED
from bench.faults.schedule import Strike
from bench.statistics import acknowledged, distribution
from bench.writer import Write
from consumer.digest import digest_of

SHOWN = 40
EXCUSES = {name: fault.excuse for name, fault in INJECTIONS.items()}


def conclude(
    *,
    struck: Sequence[Struck],
    writes: Sequence[Write],
    samples: Sequence[Sample],
    started: Mapping[str, int],
    deliveries: Sequence[Delivery],
    scans: Sequence[Scan],
    table: Held,
    tasks: Mapping[str, Held],
    pushed: bool,
    converged: bool,
    dead_letters: Mapping[str, int],
) -> dict[str, Any]:
    """`summary.json`, without its environment. `started` is when each task's process began, Unix ms."""
    violations = check(writes, table, tasks)
    tenures = lives(samples)
    known = [*scans, *settled(samples, digest_of(table.items()))]
    late = behind(writes, deliveries, known, tenures)
    ready = {life.task: life.ready_at for life in reversed(tenures)}  # a task's first tenure
    waits = [ready[task] - began for task, began in started.items() if task in ready]
    kinds = [violation.kind for violation in violations]
    unexplained = [period for period in late if not explained(period, struck, EXCUSES)]
    missing = sorted(slot for slot, count in dead_letters.items() if count < MALFORMED)
    problems = {
        "no write was acknowledged": not acknowledged(writes),
        "no task is live at the end": not tasks,
        f"{len(violations)} acknowledged writes are not accounted for": violations,
        "tasks still polled when the time was up": not pushed,
        "the digests of tasks and table are not all equal": not converged,
        f"{len(unexplained)} periods behind that no fault explains": unexplained,
        f"dead-letter queues without all malformed messages: of slots {', '.join(missing)}": missing,
        **{f"{one.fault}: {one.problem}": one.problem for one in struck},
    }
    return {
        "writes": len(acknowledged(writes)),
        "failed_writes": len(writes) - len(acknowledged(writes)),
        "tasks": len(tasks),
        "deliveries": len(deliveries),
        **{kind: kinds.count(kind) for kind in ("lost", "stale", "resurrected")},
        "converged": converged,
        "fallbacks": counted(samples, lambda lease: lease.fallbacks),
        "repairs": counted(samples, lambda lease: lease.repairs),
        "start_to_ready_ms": asdict(distribution(waits)),
        "dead_letters": dead_letters,
        "faults": [asdict(one) | {"recovery_ms": recovery_ms(one, samples, late)} for one in struck],
        "violations": [asdict(violation) for violation in violations],
        "behind": [
            asdict(period) | {"ms": period.until - period.since, "explained": period not in unexplained}
            for period in late
        ],
        "problems": [problem for problem, is_so in problems.items() if is_so],
    }


def show_schedule(strikes: Sequence[Strike], console: Console) -> None:
    """Print which fault is to strike when."""
    table = Table("fault", "from, s", "to, s", box=box.SIMPLE_HEAD)
    for strike in strikes:
        table.add_row(strike.fault, f"{strike.begin_s:.1f}", f"{strike.end_s:.1f}")
    console.print(table)


def show(found: Mapping[str, Any], first: int, console: Console) -> None:
    """Print what each fault did, what it cost, and the verdict; times since the first write (Unix ms)."""
    table = Table("fault", "from, s", "to, s", "what it hit", "recovery, s", box=box.SIMPLE_HEAD)
    for one in found["faults"]:
        since, until = (f"{(one[end] - first) / 1000:.1f}" for end in ("begin", "end"))
        recovery = "never" if one["recovery_ms"] is None else f"{one['recovery_ms'] / 1000:.1f}"
        table.add_row(one["fault"], since, until, one["note"] or one["problem"], recovery)
    console.print(table)
    for one in found["violations"][:SHOWN]:
        write, holds = f"{escape(one['id'])} version {one['version']}", one["held"] or "nothing"
        console.print(
            f"[red]{one['kind']}[/] {write} at task {one['task']}, which holds {holds}", soft_wrap=True
        )
    if (more := len(found["violations"]) - SHOWN) > 0:
        console.print(f"… and {more} more, all in summary.json")
    for one in (one for one in found["behind"] if not one["explained"]):
        at = f"from {(one['since'] - first) / 1000:.1f} s on"
        console.print(f"[red]behind[/] for {one['ms'] / 1000:.1f} s {at}: task {one['task']}", soft_wrap=True)
    late = sorted(one["ms"] for one in found["behind"])
    unexplained = sum(not one["explained"] for one in found["behind"])
    counts = ", ".join(f"{found[kind]} {kind}" for kind in ("lost", "stale", "resurrected"))
    ready = found["start_to_ready_ms"]
    for line in (
        f"{found['writes']} writes acknowledged, {found['tasks']} tasks at the end: {counts}",
        f"behind for more than 2 s: {len(late)} times, {unexplained} unexplained, "
        f"for {max(late, default=0) / 1000:.1f} s at worst",
        f"{found['fallbacks']} fallbacks to polling, {found['repairs']} repairs",
        f"process start → ready: p50 {ready['p50']} ms, at worst {ready['max']} ms ({ready['count']} tasks)",
        "failed" if found["problems"] else "passed",
    ):
        console.print(line, highlight=False, soft_wrap=True)
    for problem in found["problems"]:
        console.print(f"[red]problem[/] {escape(problem)}", soft_wrap=True)
