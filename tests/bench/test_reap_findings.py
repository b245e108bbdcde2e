"""What a run of looks at the fleet amounts to."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from bench.fleet import Lease
from bench.reap.findings import POISON, SICK, Look, Poisoned, Sickened, poison_run, problems, show, sick_run


def leases(*tasks: str, ready: bool = True, digest: str = "d") -> list[Lease]:
    return [Lease(f"{int(task[1:]):02}", task, 0, ready, "push", 1, digest, {}) for task in tasks]


CALM = Look(
    at=0,
    wanted=2,
    leases=leases("t0", "t1"),
    stopped=frozenset(),
    digest="d",
    letters={"00": 0, "01": 0, "02": 0},
    alarms=frozenset(),
    archived={},
)
LETTER = {"00": 1, "01": 0, "02": 0}
KEPT = {("00", "m"): SICK}
BEHIND = [*leases("t1"), *leases("t2", digest="other")]
STARTING = [*leases("t1"), *leases("t2", ready=False)]
SICKENED = Sickened(at=100, task="t0", slot="00", message="m", others={"t1"})
SICK_LOOKS = [
    CALM,
    replace(CALM, at=1_000, letters=LETTER),
    replace(CALM, at=1_500, letters=LETTER, alarms={"00"}),
    replace(CALM, at=2_000, alarms={"00"}, stopped={"t0"}, archived=KEPT),
    replace(CALM, at=3_000, leases=leases("t1"), stopped={"t0"}, archived=KEPT),
    replace(CALM, at=5_000, leases=STARTING, stopped={"t0"}, archived=KEPT),
    replace(CALM, at=6_000, leases=BEHIND, stopped={"t0"}, archived=KEPT),
    replace(CALM, at=9_000, leases=leases("t1", "t2"), stopped={"t0"}, archived=KEPT),
]


def test_the_moments_are_counted_from_the_message_s_arrival_as_a_dead_letter() -> None:
    assert sick_run(SICK_LOOKS, SICKENED, written_until=6_000) == {
        "told_by": "dead letter",
        "sent_to_start_ms": 900,
        "ms": {
            "alarm": 500,
            "stopped": 1_000,
            "left": 2_000,
            "ready": 5_000,
            "converged": 8_000,
            "archived": 1_000,
            "alarm_over": 2_000,
        },
        "met": True,
        "others_touched": [],
        "why": SICK,
    }


def test_a_stop_that_the_lease_led_to_comes_before_any_dead_letter() -> None:
    looks = [replace(look, letters=CALM.letters, alarms=frozenset(), archived={}) for look in SICK_LOOKS]
    told = sick_run(looks, SICKENED, written_until=6_000)
    assert (told["told_by"], told["sent_to_start_ms"], told["ms"]["stopped"]) == ("lease", 1_900, 0)
    assert (told["ms"]["converged"], told["ms"]["archived"], told["why"]) == (7_000, None, None)
    assert problems(told, poison_told(), [], converged=True) == []


def test_what_takes_fifteen_seconds_misses_the_target_and_is_no_problem() -> None:
    late = [*SICK_LOOKS[:-1], replace(SICK_LOOKS[-1], at=16_000)]
    told = sick_run(late, SICKENED, written_until=6_000)
    assert (told["ms"]["converged"], told["met"]) == (15_000, False)
    assert problems(told, poison_told(), [], converged=True) == []


def test_the_fleet_has_not_converged_before_the_last_write() -> None:
    told = sick_run([*SICK_LOOKS, replace(SICK_LOOKS[-1], at=10_000)], SICKENED, written_until=9_500)
    assert told["ms"]["converged"] == 9_000


def sick_told(looks: list[Look] = SICK_LOOKS) -> dict[str, Any]:
    return sick_run(looks, SICKENED, written_until=6_000)


POISONED = Poisoned(at=100, tasks={"t0", "t1"})
BOTH = {("00", "p0"): POISON, ("01", "p1"): POISON}
POISON_LOOKS = [
    CALM,
    replace(CALM, at=1_000, letters=LETTER),
    replace(CALM, at=2_000, archived={("00", "p0"): POISON}),
    replace(CALM, at=3_000, archived=BOTH),
    replace(CALM, at=60_000, archived=BOTH),
]


def poison_told(looks: list[Look] = POISON_LOOKS) -> dict[str, Any]:
    return poison_run(looks, POISONED)


def test_a_poison_run_is_archived_once_each_leased_slot_has_its_copy_there() -> None:
    assert poison_told() == {
        "ms": {"letter": 900, "archived": 2_900},
        "watched_ms": 59_900,
        "archived": {POISON: 2},
        "stopped": [],
        "left": [],
    }


def test_what_was_archived_before_is_not_of_the_run() -> None:
    looks = [replace(look, archived={**look.archived, **KEPT}) for look in POISON_LOOKS]
    assert poison_told(looks) == poison_told()


@pytest.mark.parametrize(
    ("sick", "poison", "lost", "problem"),
    [
        ([replace(look, stopped={"t1"}) for look in SICK_LOOKS], None, [], "1 tasks were stopped that"),
        (SICK_LOOKS[:3], None, [], "not stopped"),
        (SICK_LOOKS[:5], None, [], "not ready"),
        (SICK_LOOKS[:7], None, [], "not converged"),
        (
            [replace(look, archived={("00", "m"): POISON}) for look in SICK_LOOKS],
            None,
            [],
            "in the archive as poison-message",
        ),
        ([replace(look, archived={}) for look in SICK_LOOKS], None, [], "in the archive as None"),
        (None, [*POISON_LOOKS, replace(CALM, at=61_000, archived=BOTH, stopped={"t1"})], [], "cost 1 tasks"),
        (None, [*POISON_LOOKS, replace(CALM, at=61_000, archived=BOTH, leases=leases("t1"))], [], "cost 1"),
        (None, POISON_LOOKS[:3], [], "not every task's copy"),
        (None, [CALM, replace(CALM, at=1_000, archived={**BOTH, ("02", "x"): SICK})], [], "something else"),
        (None, None, ["item"], "an acknowledged write is lost: item"),
    ],
)
def test_what_is_wrong_in_substance_is_a_problem(
    sick: list[Look] | None, poison: list[Look] | None, lost: list[str], problem: str
) -> None:
    told = problems(sick_told(sick or SICK_LOOKS), poison_told(poison or POISON_LOOKS), lost, converged=True)
    assert any(problem in one for one in told), told


def test_a_fleet_that_does_not_hold_the_table_in_the_end_is_a_problem() -> None:
    assert problems(sick_told(), poison_told(), [], converged=False) == [
        "in the end not all tasks hold what the table holds"
    ]


@pytest.mark.parametrize(("found", "verdict"), [([], "passed"), (["a problem"], "failed")])
def test_the_verdict_and_the_moments_are_printed(found: list[str], verdict: str) -> None:
    console = Console(record=True, width=120)
    show({"sick": sick_told(), "poison": poison_told(), "writes": 9, "lost": 0, "problems": found}, console)
    text = console.export_text()
    assert verdict in text and all(problem in text for problem in found)
    assert "8.0" in text and "{'poison-message': 2} archived" in text
