"""At which rate of writes a variant leaves its deadline: the knee. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.presets import Step
from bench.statistics import Arrival, Distribution, acknowledged, measure, percentile
from bench.writer import Write

DEADLINE_MS = 2000
"""What the article asks of a change: at every task in under two seconds."""
KEPT_UP = 0.95
"""Of the writes, or of their rate, that were asked for: below it the entry, or bench, is what is measured."""

Why = Literal["late", "lost", "entry"]


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: writes a second that were asked for and acknowledged, and how late they were applied, ms.

    `lateness_p99` is by how much writes began after their time, which `write_to_applied` leaves out.
    """

    rate: float
    achieved: float
    failed: int
    lost: int
    lateness_p99: int
    write_to_applied: Distribution

    @property
    def ended_by(self) -> Why | None:
        """Why the burst goes no further; None if the step held."""
        if not kept_up(self.achieved, self.rate):
            return "entry"
        if self.lost:
            return "lost"
        p99 = self.write_to_applied.p99
        return "late" if p99 is None or p99 > DEADLINE_MS else None


def kept_up(taken: float, asked: float) -> bool:
    """Whether enough of what was asked for was taken: `KEPT_UP`."""
    return taken >= KEPT_UP * asked


@dataclass(frozen=True, slots=True)
class Burst:
    """The steps of a burst, and the highest rate that held; None if not even the first did."""

    variant: str
    steps: list[StepResult]

    @property
    def knee(self) -> float | None:
        """Writes a second; the last step's where all held, so that the knee is somewhere beyond."""
        return max((step.rate for step in self.steps if step.ended_by is None), default=None)

    @property
    def ended_by(self) -> Why | None:
        """Why it ended; None if all steps held."""
        return self.steps[-1].ended_by

    def summary(self) -> dict[str, Any]:
        """`burst` of `summary.json`."""
        steps = [{**asdict(step), "ended_by": step.ended_by} for step in self.steps]
        return {"variant": self.variant, "knee": self.knee, "ended_by": self.ended_by, "steps": steps}


def step_result(
    step: Step, writes: Sequence[Write], variant: str, tasks: Sequence[str], arrivals: Sequence[Arrival]
) -> StepResult:
    """What became of one step's writes."""
    row = measure(variant, writes, tasks, arrivals, sns_clock=False)
    done = acknowledged(writes)
    # The last write has its interval too: in time, n writes take n intervals.
    seconds = (writes[-1].written_at - writes[0].scheduled_at) / 1000 + step.interval_s
    return StepResult(
        rate=round(1 / step.interval_s, 2),
        achieved=round(len(done) / seconds, 1),
        failed=len(writes) - len(done),
        lost=len(row.lost),
        lateness_p99=percentile(sorted(write.written_at - write.scheduled_at for write in writes), 99),
        write_to_applied=row.ms["write_to_applied"],
    )
