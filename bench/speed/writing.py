"""What bench itself computes while it writes, beyond the calls alone."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from bench.report.terminal import progress_bars
from bench.speed.figure import Figure
from bench.speed.scratch import scratch
from bench.stack import Stack
from bench.workload import PlannedWrite
from bench.writer import Entry, TableEntry, new_trace, now_ms, write_on_schedule

WRITES, EVERY_S, TURNS, KEYS = 100, 0.1, 5, 10
PLAN = [PlannedWrite(number, "update", str(number % KEYS)) for number in range(WRITES)]


def writing(stack: Stack) -> Iterator[Figure]:
    """Ten writes a second as `bench run` makes them, and the same calls in a plain loop, in turn."""
    adds, ours = list[float](), 0.0
    with scratch(stack, 0) as place:
        entry = TableEntry(stack.client("dynamodb", attempts=1), place.table)
        for _ in range(TURNS):
            ours = _share(_as_run_does, entry)
            adds.append(ours - _share(_plain, entry))
    name = f"bench's own at {1 / EVERY_S:g} writes/s, % of a core"
    yield Figure(name, adds, 1, note=f"{ours:.1f} % with the calls")


def _as_run_does(entry: Entry) -> None:
    """Makes the writes, and draws a bar as on a terminal."""
    with (
        Path(os.devnull).open("w") as nowhere,
        progress_bars(Console(file=nowhere, force_terminal=True)) as drawn,
    ):
        bar = drawn.add_task("writes", total=WRITES)
        write_on_schedule(PLAN, EVERY_S, entry, lambda: drawn.advance(bar))


def _plain(entry: Entry) -> None:
    began = time.monotonic()
    for one in PLAN:
        time.sleep(max(0.0, began + one.number * EVERY_S - time.monotonic()))
        entry.put(one.id, one.number, now_ms(), new_trace())


def _share(make: Callable[[Entry], None], entry: Entry) -> float:
    """What a way to make the writes takes of a core, %."""
    used, began = time.process_time(), time.monotonic()
    make(entry)
    return 100 * (time.process_time() - used) / (time.monotonic() - began)
