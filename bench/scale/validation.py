"""The simulation beside real runs on a local stack."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.progress import Progress

from bench import presets
from bench.fleet import await_ready
from bench.result import conclude
from bench.run import observe
from bench.scale.path import Load, Outcome, Rates, simulate
from bench.stack import Stack
from bench.statistics import VariantResult

CHANGES = (2, 5, 10, 20, 40)
"""A second, in turn."""
SECONDS, PATIENCE_S = 10, 60


@dataclass(frozen=True)
class Comparison:
    """One run and what the simulation says of it. Milliseconds; `together`: messages to a receive."""

    tasks: int
    changes: float
    lost: int
    p50: float
    p99: float
    together: float
    simulated_p50: float
    simulated_p99: float
    simulated_together: float


def compared(stack: Stack, rates: Rates, progress: Progress) -> Iterator[Comparison]:
    """Runs of one fleet, each at another rate."""
    tasks = len(await_ready(stack, PATIENCE_S))
    for changes in CHANGES:
        seen = observe(
            stack,
            progress,
            steps=[presets.Step(changes * SECONDS, 1 / changes)],
            seed=changes,
            patience_s=PATIENCE_S,
            keep_items=False,
            entry="table",
        )
        outcome = simulate(rates, Load(tasks=tasks, changes=changes, seconds=SECONDS, sampled=tasks))
        yield comparison(tasks, changes, conclude(seen).variants["lambda"], outcome)


def comparison(tasks: int, changes: float, seen: VariantResult, outcome: Outcome) -> Comparison:
    """What was seen beside what was simulated."""
    took, deliveries = seen.ms["write_to_applied"], [arrival.delivery for arrival in seen.arrivals]
    received = {(of.task, of.received_at) for of in deliveries}
    return Comparison(
        tasks,
        changes,
        len(seen.lost),
        took.p50 or 0,
        took.p99 or 0,
        len(deliveries) / max(1, len(received)),
        1000 * outcome.percentile(50),
        1000 * outcome.percentile(99),
        outcome.messages / max(1, outcome.receives),
    )
