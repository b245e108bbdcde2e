"""What bench itself computes while it writes, beyond the calls alone."""

import time
from collections.abc import Iterator

from rich.progress import Progress

from bench.speed.figure import Figure
from bench.speed.scratch import scratch
from bench.stack import Stack
from bench.workload import PlannedWrite
from bench.writer import TableEntry, new_trace, now_ms, write_on_schedule

WRITES, EVERY_S, TURNS = 100, 0.1, 5
KEYS = 10


def writing(stack: Stack, progress: Progress) -> Iterator[Figure]:
    """Ten writes a second as `bench run` makes them, and the same calls in a plain loop."""
    planned = [PlannedWrite(number, "update", str(number % KEYS)) for number in range(WRITES)]
    adds, all_of_it = list[float](), 0.0
    with scratch(stack, 0) as place:
        entry = TableEntry(stack.client("dynamodb", attempts=1), place.table)
        for _ in range(TURNS):
            bar, used, began = (
                progress.add_task("writes", total=WRITES),
                time.process_time(),
                time.monotonic(),
            )
            write_on_schedule(planned, EVERY_S, entry, lambda bar=bar: progress.advance(bar))
            all_of_it = 100 * (time.process_time() - used) / (time.monotonic() - began)
            progress.remove_task(bar)
            progress.stop()  # to draw it is bench's own, too
            used, began = time.process_time(), time.monotonic()
            for one in planned:
                time.sleep(max(0.0, began + one.number * EVERY_S - time.monotonic()))
                entry.put(one.id, one.number, now_ms(), new_trace())
            adds.append(all_of_it - 100 * (time.process_time() - used) / (time.monotonic() - began))
            progress.start()
    name = f"bench's own at {1 / EVERY_S:g} writes/s, % of a core"
    yield Figure(name, adds, 1, note=f"{all_of_it:.1f} % with the calls")
