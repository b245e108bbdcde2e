"""The measurements, each a figure beside its target."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median

from rich.progress import Progress

from bench.faults import proxy
from bench.fleet import await_ready
from bench.result import conclude
from bench.run import observe
from bench.speed.scratch import (
    LOOK_S,
    PATIENCE_S,
    Running,
    Scratch,
    bare,
    item_of,
    scratch,
    subscribed,
    task_environment,
)
from bench.stack import Stack
from bench.statistics import acknowledged, percentile
from bench.writer import TableEntry, now_ms
from consumer.digest import term, weight
from consumer.message import Change
from consumer.replica import Replica

BURST, BACKLOG = 2000, 200
REPETITIONS = 3
SETTLED_S = 2.0
SEGMENTS = 4
CHANGES = 200_000
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Figure:
    """What was measured. The median of `values` is to be at most, or at least, the target."""

    name: str
    values: Sequence[float]
    target: float
    at_least: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def met(self) -> bool:
        """Whether the target is."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def wait(until: Callable[[], bool]) -> float:
    """The moment, on the monotonic clock, at which something was first so."""
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {PATIENCE_S} s")
        time.sleep(LOOK_S)
    return time.monotonic()


def bursts(stack: Stack) -> Iterator[Figure]:
    """A full queue, drained by the consumer and by the bare loop in turn."""
    rates, cpu = list[float](), list[float]()
    with scratch(stack) as place:
        versions = count(2, BURST)
        for _ in range(REPETITIONS):
            with place.consumer() as consumer:
                wait(consumer.ready)
                rate, used = burst(place, consumer, next(versions))
            with bare(place.environment, "receive", place.queue) as other:
                bare_rate, bare_used = burst(place, other, next(versions))
            rates.append(rate / bare_rate)
            cpu.append(used / bare_used)
        yield Figure("CPU per change ÷ bare loop's", cpu, 1.25)
        yield Figure(f"rate at {BURST:,} messages ÷ bare loop's", rates, 0.85, at_least=True)
        made = [calls(place, next(versions)) for _ in range(REPETITIONS)]
        yield Figure(f"SQS calls for {BACKLOG} messages", made, 44)


def burst(place: Scratch, program: Running, version: int) -> tuple[float, float]:
    """Messages a second at which a program that stood still drains the queue, and its CPU seconds."""
    with program.paused():
        place.send(BURST, version)
        used, began = program.cpu_s, time.monotonic()
    ended = wait(place.drained)
    return BURST / (ended - began), program.cpu_s - used


def calls(place: Scratch, version: int) -> float:
    """How many calls of SQS a consumer makes for a backlog."""
    place.send(BACKLOG, version)
    with (
        proxy.started(place.stack.endpoint or "") as through,
        place.consumer(AWS_ENDPOINT_URL_SQS=through.url),
    ):
        wait(place.drained)
        return through.calls("sqs")


def lives(stack: Stack) -> Iterator[Figure]:
    """A consumer from start to end, with one change waiting."""
    first, idle, end = list[float](), list[float](), list[float]()
    with scratch(stack) as place:
        entry = TableEntry(stack.client("dynamodb"), place.table)
        for number in range(REPETITIONS):
            entry.put(item_of(number, 1)["id"]["S"], number, now_ms())
            wait(lambda: not place.drained())
            with place.consumer() as consumer:
                consumer.line("delivery")
                first.append(time.monotonic() - consumer.begun)
                wait(consumer.ready)
                time.sleep(SETTLED_S)
                idle.append(consumer.memory / MEBIBYTE)
                end.append(consumer.end())
            wait(place.drained)
    yield Figure("start → first change handled, s", first, 1.2)
    yield Figure("memory when idle, MiB", idle, 60)
    yield Figure("SIGTERM → exit, s", end, 1)


def snapshots(stack: Stack) -> Iterator[Figure]:
    """A consumer's start with a full table, and a bare parallel Scan of it."""
    with scratch(stack, 0) as place, place.consumer() as consumer:
        wait(consumer.ready)
        empty = consumer.memory
    for items in (10_000, 100_000):
        over, memory, note = list[float](), list[float](), ""
        with scratch(stack, items) as place:
            for _ in range(REPETITIONS):
                with bare(place.environment, "scan", place.table, str(SEGMENTS)) as other:
                    scan_s = other.line()["seconds"]
                with place.consumer() as consumer:
                    ready_s = wait(consumer.ready) - consumer.begun
                    memory.append((consumer.memory - empty) / (items * len(json.dumps(item_of(0, 1)))))
                over.append((ready_s - 1) / scan_s)
                note = f"ready after {ready_s:.2f} s, Scan {scan_s:.2f} s"
        yield Figure(f"(start → ready with {items:,} items − 1 s) ÷ bare Scan", over, 1.3, note=note)
        yield Figure(f"memory for {items:,} items ÷ their JSON", memory, 3)


def replica() -> Iterator[Figure]:
    """`apply` alone, and what of it is the digest's: the same arithmetic in a loop of its own."""
    for kind, items in (("held", 1000), ("new", CHANGES)):
        rates, shares = list[float](), list[float]()
        changes = [Change(f"{number % items:08}", number, "{}") for number in range(CHANGES)]
        for _ in range(REPETITIONS):
            copy, total, own = Replica(600, time.monotonic), 0, weight("an item")
            began = time.perf_counter()
            for change in changes:
                copy.apply(change)
            applied = time.perf_counter()
            for change in changes:
                total += (
                    term(weight(change.id), change.version) if kind == "new" else 2 * own * change.version
                )
            shares.append((time.perf_counter() - applied) / (applied - began))
            rates.append(CHANGES / (applied - began))
        yield Figure(f"apply, changes of {kind} items a second", rates, 300_000, at_least=True)
        yield Figure(f"the digest's share of it, {kind} items", shares, 0.3)


def fleet(stack: Stack, progress: Progress) -> Iterator[Figure]:
    """Write → applied at every task, beside a bare receiver with a subscription of its own."""
    tasks = len(await_ready(stack, PATIENCE_S))
    with (
        subscribed(stack, stack.outputs.topic_arn) as queue,
        bare(task_environment(stack), "receive", queue) as other,
    ):
        seen = observe(stack, progress, writes=200, interval_s=0.2, seed=1, patience_s=30, keep_items=False)
        other.end()
        came: list[tuple[str, int, int]] = other.line()
    # The first of both forwarders' copies.
    first: dict[tuple[str, int | None], int] = {
        (item_id, version): at for item_id, version, at in reversed(came)
    }
    took = [
        first[of] - write.written_at
        for write in acknowledged(seen.writes)
        if (of := (write.id, write.version)) in first
    ]
    bare_p99 = percentile(sorted(took), 99)
    ours = conclude(seen).variants["lambda"].ms["write_to_applied"].p99 or 0
    note = f"p99 {ours} ms, bare receiver {bare_p99} ms"
    yield Figure(
        f"write → applied p99 at {tasks} tasks − bare receiver's, ms", [ours - bare_p99], 10, note=note
    )
