"""The measurements, each a figure beside its target."""

import json
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from rich.progress import Progress

from bench.faults import proxy
from bench.fleet import await_ready
from bench.presets import Step
from bench.result import conclude
from bench.run import observe
from bench.speed.figure import Figure
from bench.speed.scratch import (
    PATIENCE_S,
    Program,
    Scratch,
    item_of,
    of_tasks,
    running,
    scratch,
    subscribed,
    wait,
)
from bench.stack import Stack
from bench.statistics import acknowledged, percentile
from consumer.digest import term, weight
from consumer.message import Change
from consumer.reader import MOST_SEGMENTS
from consumer.replica import Replica

BARE = str(Path(__file__).with_name("bare.py"))
BURST, BACKLOG, CHANGES, REPETITIONS = 2000, 200, 200_000, 3
BURSTS = 7
"""The emulator's own rate differs by a half from one burst to the next."""
SETTLED_S = 3.0
"""The emulator goes on with a long poll whose program has ended, and hides what it finds."""
POLLING = {"STATECAST_VARIANTS": '["poll"]', "STATECAST_SLOT_QUEUE_URLS": "[]"}
"""Ready with the snapshot; a task that is pushed to waits for a watermark, too."""


def bursts(stack: Stack) -> Iterator[Figure]:
    """A full queue, drained by the consumer and by the bare loop in turn."""
    rates, cpu, versions = list[float](), list[float](), count(2, BURST)
    with scratch(stack) as place:
        for _ in range(BURSTS):
            with place.consumer() as consumer:
                wait(lambda one=consumer: one.told("snapshot complete"))
                rate, used = burst(place, consumer, next(versions))
            with running(place.environment, BARE, "receive", place.queue) as bare:
                bare_rate, bare_used = burst(place, bare, next(versions))
            rates.append(rate / bare_rate)
            cpu.append(used / bare_used)
        made = [calls(place, next(versions)) for _ in range(REPETITIONS)]
    yield Figure("CPU per change ÷ bare loop's", cpu, 1.25)
    yield Figure(f"rate at {BURST:,} messages ÷ bare loop's", rates, 0.85, at_least=True)
    yield Figure(f"SQS calls for {BACKLOG} messages", made, 44)


def burst(place: Scratch, program: Program, version: int) -> tuple[float, float]:
    """Messages a second at which a program that stood still drains the queue, and its CPU seconds."""
    time.sleep(SETTLED_S)
    program.process.send_signal(signal.SIGSTOP)
    place.send(BURST, version)
    used, began = program.cpu_s, time.monotonic()
    program.process.send_signal(signal.SIGCONT)
    ended = wait(place.drained)
    return BURST / (ended - began), program.cpu_s - used


def calls(place: Scratch, version: int) -> float:
    """How many calls of SQS a consumer makes for a backlog."""
    time.sleep(SETTLED_S)
    place.send(BACKLOG, version)
    with (
        proxy.started(place.stack.endpoint or "") as through,
        place.consumer(AWS_ENDPOINT_URL_SQS=through.url),
    ):
        wait(place.drained)
        return through.calls("sqs")


def lives(stack: Stack) -> Iterator[Figure]:
    """A consumer from start to end, with changes waiting."""
    first, idle, end, versions = list[float](), list[float](), list[float](), count(2, 10)
    with scratch(stack) as place:
        for _ in range(REPETITIONS):
            time.sleep(SETTLED_S)
            place.send(10, next(versions))
            with place.consumer() as consumer:
                first.append(wait(lambda one=consumer: one.told("delivery")) - consumer.began)
                wait(lambda one=consumer: one.told("snapshot complete"))
                time.sleep(SETTLED_S)
                idle.append(consumer.memory / (1 << 20))
                end.append(consumer.end())
    yield Figure("start → first change handled, s", first, 1.2)
    yield Figure("memory when idle, MiB", idle, 60)
    yield Figure("SIGTERM → exit, s", end, 1)


def snapshots(stack: Stack) -> Iterator[Figure]:
    """A consumer's start with a full table, and a bare parallel Scan of it."""
    with scratch(stack, 0) as place, place.consumer(**POLLING) as consumer:
        wait(consumer.ready)
        empty = consumer.memory
    for items in (10_000, 100_000):
        over, memory, note = list[float](), list[float](), ""
        with scratch(stack, items) as place:
            for _ in range(REPETITIONS):
                with running(place.environment, BARE, "scan", place.table, str(MOST_SEGMENTS)) as bare:
                    wait(bare.told)
                    scan_s = bare.told()["seconds"]
                with place.consumer(**POLLING) as consumer:
                    ready_s = wait(consumer.ready) - consumer.began
                    memory.append((consumer.memory - empty) / (items * len(json.dumps(item_of(0, 1)))))
                over.append(ready_s / (1.3 * scan_s + 1))
                note = f"ready after {ready_s:.2f} s, Scan {scan_s:.2f} s"
        yield Figure(f"start → ready with {items:,} items ÷ (1.3 × bare Scan + 1 s)", over, 1, note=note)
        yield Figure(f"memory for {items:,} items ÷ their JSON", memory, 3)


def replica(_: Stack) -> Iterator[Figure]:
    """`apply` alone, and what of it is the digest's: the same arithmetic in a loop of its own."""
    for kind, items in (("held", 1000), ("new", CHANGES)):
        rates, shares = list[float](), list[float]()
        changes = [Change(f"{number % items:08}", number, "{}") for number in range(CHANGES)]
        for _repetition in range(REPETITIONS):
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
    """Write → applied at every task, beside a bare receiver with a queue of its own.

    Again and again, since one write in a hundred is two of a run's.
    """
    tasks = len(await_ready(stack, PATIENCE_S))
    ours, bare = zip(*(_beside_bare(stack, progress) for _ in range(REPETITIONS)), strict=True)
    note = f"p99 {', '.join(map(str, ours))} ms, bare receiver {', '.join(map(str, bare))} ms"
    yield Figure(
        f"write → applied p99 at {tasks} tasks − bare receiver's, ms",
        [one - other for one, other in zip(ours, bare, strict=True)],
        10,
        note=note,
    )


def _beside_bare(stack: Stack, progress: Progress) -> tuple[float, float]:
    """p99 at every task, and at the bare receiver, of the same 200 writes, milliseconds."""
    with (
        subscribed(stack, stack.outputs.topic_arn) as queue,
        running(of_tasks(stack)[0], BARE, "receive", queue) as bare,
    ):
        seen = observe(
            stack,
            progress,
            steps=[Step(200, 0.2)],
            entry="table",
            seed=1,
            patience_s=30,
            keep_items=False,
        )
        bare.end()
        came: list[tuple[str, int, int]] = bare.told()
    # The first of both forwarders' copies.
    first: dict[tuple[str, int | None], int] = {
        (item_id, version): at for item_id, version, at in reversed(came)
    }
    made = acknowledged(seen.writes)
    took = [first[of] - write.written_at for write in made if (of := (write.id, write.version)) in first]
    return conclude(seen).variants["lambda"].ms["write_to_applied"].p99 or 0, percentile(sorted(took), 99)
