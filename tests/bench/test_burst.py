from dataclasses import replace

import pytest

from bench.burst import KEPT_UP, Burst, step_result
from bench.presets import BURST_RATES, PRESETS, Step
from bench.report.wording import knee
from bench.statistics import join
from bench.writer import Write
from tests.bench.synthetic import START, delivery, write

RATE, COUNT = 100, 200


def writes(*, every_ms: float = 1000 / RATE) -> list[Write]:
    """Writes that were to begin each 10 ms, and did each `every_ms`."""
    return [
        replace(
            write(number, item_id=f"item {number}"),
            scheduled_at=START + 10 * number,
            written_at=START + round(every_ms * number),
        )
        for number in range(COUNT)
    ]


def burst(*steps: tuple[list[Write], int, int]) -> Burst:
    """Of steps at 100/s, their deliveries so late, so many of them missing."""
    results = [
        step_result(
            Step(COUNT, 1 / RATE),
            made,
            "lambda",
            ["task/0"],
            join(made, [delivery(one, after=late) for one in made[missing:]]),
        )
        for made, late, missing in steps
    ]
    return Burst("lambda", [replace(step, rate=RATE * (n + 1)) for n, step in enumerate(results)])


def test_a_step_within_two_seconds_holds() -> None:
    got = burst((writes(), 2000, 0))
    (step,) = got.steps
    assert (step.rate, step.achieved, step.failed, step.lateness_p99, step.lost) == (100, 100, 0, 0, 0)
    assert (got.knee, got.ended_by) == (100, None)
    assert knee(got) == "lambda holds 100 writes/s; the last step (p99 2,000 ms): the knee is beyond."


def test_the_knee_is_the_last_rate_within_two_seconds() -> None:
    got = burst((writes(), 300, 0), (writes(every_ms=5), 2001, 0))
    assert (got.knee, got.ended_by) == (100, "late")
    assert knee(got) == "lambda holds 100 writes/s; at 200/s p99 is 2,001 ms, over 2,000 ms."
    assert got.summary()["knee"] == 100
    assert [step["ended_by"] for step in got.summary()["steps"]] == [None, "late"]


def test_losses_end_it() -> None:
    got = burst((writes(), 300, 3))
    assert (got.knee, got.ended_by) == (None, "lost")
    assert knee(got) == "lambda holds no step; at 100/s it lost 3 deliveries."


def test_an_entry_that_takes_less_than_was_asked_for_is_no_knee() -> None:
    slow = writes(every_ms=20)  # written 50 a second: none of them is late by its own clock
    got = burst((slow, 100, 0))
    assert got.steps[0].achieved == pytest.approx(50, rel=0.01)
    assert got.steps[0].lateness_p99 == 10 * 197
    assert (got.knee, got.ended_by) == (None, "entry")
    assert (
        "the entry took 50.1/s alone (p99 100 ms), so that step tells nothing of lambda's own limit"
        in knee(got)
    )


def test_failed_writes_are_not_taken() -> None:
    made = writes()
    few = round(COUNT * (1 - KEPT_UP)) + 1
    made[:few] = [replace(one, version=None, error="no") for one in made[:few]]
    got = burst((made, 100, few))
    assert (got.steps[0].failed, got.steps[0].lost, got.ended_by) == (few, 0, "entry")


def test_the_presets_are_the_plans_that_they_are_named_for() -> None:
    assert PRESETS["article"].steps == [Step(720, 5.0)]
    assert PRESETS["article"].tasks == 20
    (soak,) = PRESETS["soak"].steps
    assert soak.writes * soak.interval_s == 3600
    assert (BURST_RATES[0], BURST_RATES[-1]) == (20, 200)
    assert {step.writes * step.interval_s for step in PRESETS["burst"].steps} == {20}
