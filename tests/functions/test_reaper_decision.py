"""Whom the reaper stops, and whom never."""

from collections.abc import Iterable
from random import Random
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reap import run as experiment
from tests.functions.reaper import decision

Lease, Letter, Memory, Slot = decision.Lease, decision.Letter, decision.Memory, decision.Slot
decide = decision.decide

NOW = 1_800_000_000_000
MINUTE = 60_000
LEASED = NOW - MINUTE
FAR = NOW + 10**9


def leased(
    number: int,
    poison: Iterable[str] = (),
    *,
    sent_at: int = NOW - 1,
    refusing: Iterable[str] = (),
    letters: Iterable[Letter] = (),
    expires_at: int = NOW + MINUTE,
    full: bool = False,
) -> Slot:
    lease = Lease(
        f"task-{number}",
        LEASED,
        expires_at,
        tuple(Letter(change, sent_at) for change in poison),
        frozenset(poison) | frozenset(refusing),
        full,
    )
    return Slot(f"{number:02}", lease, tuple(letters))


def fleet(*sick: Slot, size: int = 10) -> list[Slot]:
    return [*sick, *(leased(number) for number in range(len(sick), size))]


def letter(change: str, sent_at: int = NOW - 1) -> Letter:
    return Letter(change, sent_at)


def test_a_fleet_without_poison_is_left_alone() -> None:
    assert decide(fleet(), Memory(), NOW) == ({}, {}, frozenset(), (), Memory())


def test_a_task_whose_lease_tells_of_poison_is_stopped_before_the_message_is_a_dead_letter() -> None:
    made = decide(fleet(leased(0, ["a"])), Memory(), NOW)
    assert (made.stop, made.archive) == ({"task-0": {"a"}}, {})
    assert made.memory.stopped == {"task-0": NOW}


def test_a_dead_letter_that_was_sent_to_the_task_has_it_archived_and_the_task_stopped() -> None:
    made = decide(fleet(leased(0, letters=[letter("a", LEASED)])), Memory(), NOW)
    assert (made.stop, made.archive) == ({"task-0": {"a"}}, {"00": "sick-task"})


def test_a_dead_letter_that_is_older_than_the_tenure_is_archived_and_the_task_spared() -> None:
    made = decide(fleet(leased(0, letters=[letter("a", LEASED - 1)])), Memory(), NOW)
    assert (made.stop, made.archive, made.poison) == ({}, {"00": "left-over"}, frozenset())
    assert decide(fleet(leased(0, ["a"], sent_at=LEASED - 1)), Memory(), NOW).stop == {}


@pytest.mark.parametrize(
    "slot",
    [Slot("00", None, (letter("a"),)), leased(0, ["a"], expires_at=NOW)._replace(letters=(letter("a"),))],
)
def test_a_slot_without_a_live_lease_is_archived_and_that_is_all(slot: Slot) -> None:
    made = decide(fleet(slot), Memory(), NOW)
    assert (made.stop, made.archive) == ({}, {"00": "no-task"})


def test_a_change_that_most_tasks_hold_is_the_message_s_fault_and_nobody_is_stopped() -> None:
    slots = fleet(*(leased(number, ["a"], letters=[letter("a")]) for number in range(6)))
    made = decide(slots, Memory(), NOW)
    assert (made.stop, made.poison, made.waiting) == ({}, {"a"}, ())
    assert made.archive == {f"{number:02}": "poison-message" for number in range(6)}
    assert made.memory == Memory({}, {"a": NOW})


def test_a_task_that_is_sick_while_a_message_is_poison_waits_with_its_letters() -> None:
    sick = leased(6, letters=[letter("own")])
    left_over = leased(7, letters=[letter("old", LEASED - 1)])
    poisoned = [leased(number, ["a"], letters=[letter("a")]) for number in range(6)]
    made = decide(fleet(*poisoned, sick, left_over), Memory(), NOW)
    assert (made.stop, made.poison, made.waiting) == ({}, {"a"}, ("06",))
    archived = {f"{number:02}": "poison-message" for number in range(6)}
    assert made.archive == {**archived, "07": "left-over"}
    later = decide(fleet(*(leased(number) for number in range(6)), sick), made.memory, NOW + 1000)
    assert (later.stop.keys(), later.archive) == ({"task-6"}, {"06": "sick-task"})


def test_half_of_the_tasks_are_not_most() -> None:
    assert decide(fleet(*(leased(n, ["a"]) for n in range(5))), Memory(), NOW).stop.keys() == {
        "task-0",
        "task-1",
    }


def test_the_first_task_to_give_a_change_up_is_spared_when_most_refuse_it_too() -> None:
    slots = [leased(0, ["a"]), *(leased(number, refusing=["a"]) for number in range(1, 10))]
    made = decide(slots, Memory(), NOW)
    assert (made.stop, made.poison) == ({}, {"a"})


def test_what_most_refuse_and_nobody_gave_up_is_not_poison_yet() -> None:
    made = decide([leased(number, refusing=["a"]) for number in range(10)], Memory(), NOW)
    assert (made.stop, made.poison, made.memory) == ({}, frozenset(), Memory())


def test_a_change_that_was_poison_is_held_against_nobody_when_others_forget_it() -> None:
    known = Memory({}, {"a": NOW - 60 * MINUTE})
    made = decide(fleet(leased(0, ["a"], letters=[letter("a")])), known, NOW)
    assert (made.stop, made.poison, made.archive) == ({}, frozenset(), {"00": "poison-message"})


def test_poison_is_forgotten_a_day_later_and_the_oldest_when_there_is_too_much() -> None:
    day = 24 * 60 * MINUTE
    assert decide(fleet(), Memory({}, {"a": NOW - day}), NOW).memory.poison == {}
    many = {str(number): NOW - number for number in range(1, 200)}
    slots = [leased(number, ["new"]) for number in range(3)]
    kept = decide(slots, Memory({}, many), NOW).memory.poison
    assert set(kept) == {"new", *map(str, range(1, 100))}


def test_who_tells_of_as_much_as_can_be_told_is_no_witness_that_it_holds_a_change() -> None:
    slots = [leased(0, ["a"]), *(leased(number, refusing=["b"], full=True) for number in range(1, 6))]
    made = decide(fleet(*slots), Memory(), NOW)
    assert (made.stop, made.poison) == ({}, {"a"})
    assert decide(fleet(*slots[:5]), Memory(), NOW).stop.keys() == {"task-0"}


def test_ten_letters_of_a_slot_may_be_some_of_many() -> None:
    slots = [
        leased(number, letters=[letter(f"{number}-{of}") for of in range(10 + number)]) for number in range(6)
    ]
    made = decide(fleet(*slots), Memory(), NOW)
    assert (made.stop, made.waiting, len(made.poison)) == ({}, (), 75)
    assert made.archive == {f"{number:02}": "poison-message" for number in range(6)}


def test_what_was_sent_before_a_flood_was_last_seen_is_held_against_nobody() -> None:
    seen = decide([leased(number, full=True) for number in range(10)], Memory(), NOW)
    assert (seen.poison, seen.memory) == (frozenset(), Memory(flooded_at=NOW))
    later = NOW + 30 * MINUTE
    made = decide(fleet(leased(0, letters=[letter("a")], expires_at=FAR)), seen.memory, later)
    assert (made.stop, made.archive) == ({}, {"00": "poison-message"})
    since = leased(0, letters=[letter("a"), letter("b", NOW)], expires_at=FAR)
    made = decide(fleet(since), seen.memory, later)
    assert (made.stop, made.archive) == ({"task-0": {"b"}}, {"00": "sick-task"})


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_one_sick_task_is_stopped_however_much_it_refuses(size: int) -> None:
    sick = leased(0, ["a"], letters=[letter(str(of)) for of in range(10)], full=True)
    made = decide(fleet(sick, size=size), Memory(), NOW)
    assert (made.stop.keys(), made.archive, made.poison) == ({"task-0"}, {"00": "sick-task"}, frozenset())
    assert made.memory.flooded_at == 0


@pytest.mark.parametrize("size", [2, 3])
def test_two_tasks_that_refuse_more_than_is_told_are_most_of_a_small_fleet(size: int) -> None:
    slots = fleet(*(leased(number, [f"own {number}"], full=True) for number in range(2)), size=size)
    made = decide(slots, Memory(), NOW)
    assert (made.stop, made.memory.flooded_at) == ({}, NOW)


def test_letters_that_are_not_held_against_a_task_that_waits_are_archived() -> None:
    slot = leased(0, ["own"], letters=[letter("poison"), letter("old", LEASED - 1)])
    made = decide(fleet(slot, size=5), Memory({"gone": NOW - 1}, {"poison": NOW - 1}), NOW)
    assert (made.waiting, made.archive) == (("00",), {"00": "poison-message"})


def test_one_task_alone_is_stopped_since_there_is_nobody_to_compare_it_with() -> None:
    assert decide([leased(0, ["a"])], Memory(), NOW).stop.keys() == {"task-0"}


def test_of_two_tasks_that_refuse_the_same_none_is_stopped() -> None:
    assert decide([leased(0, ["a"]), leased(1, ["a"])], Memory(), NOW).stop == {}


def test_past_the_budget_sick_tasks_wait_and_so_do_their_letters() -> None:
    slots = fleet(*(leased(n, [f"own {n}"], letters=[letter(f"own {n}")]) for n in range(4)))
    made = decide(slots, Memory(), NOW)
    assert (set(made.stop), made.waiting) == ({"task-0", "task-1"}, ("02", "03"))
    assert made.archive.keys() == {"00", "01"}


def test_stops_of_ten_minutes_ago_count_no_more() -> None:
    slots = fleet(leased(0, ["a"]), size=5)
    recent, old = {"gone": NOW - 10 * MINUTE + 1}, {"gone": NOW - 10 * MINUTE}
    assert decide(slots, Memory(recent), NOW) == ({}, {}, frozenset(), ("00",), Memory(recent))
    made = decide(slots, Memory(old), NOW)
    assert (made.stop.keys(), made.memory.stopped) == ({"task-0"}, {"task-0": NOW})


def test_an_alarm_that_is_delivered_twice_stops_the_same_task_at_no_further_cost() -> None:
    slots = fleet(leased(0, ["a"], letters=[letter("a")]), leased(1, ["b"]), size=5)
    first = decide(slots, Memory(), NOW)
    second = decide(slots, first.memory, NOW + 1000)
    assert first.stop.keys() == second.stop.keys() == {"task-0"}
    assert second.memory == first.memory


def test_a_stop_that_was_decided_is_carried_out_though_the_letters_are_archived_by_now() -> None:
    made = decide(fleet(leased(0)), Memory({"task-0": NOW - MINUTE}), NOW)
    assert (made.stop, made.memory.stopped) == ({"task-0": frozenset()}, {"task-0": NOW - MINUTE})


def test_a_task_that_left_is_not_stopped_again() -> None:
    made = decide(fleet(Slot("00", None, (letter("a"),))), Memory({"task-0": NOW - 1000}), NOW)
    assert (made.stop, made.archive) == ({}, {"00": "no-task"})


def any_fleet(random: Random, generation: int = 0) -> list[Slot]:
    """Any slots: leased by tasks of a generation, expired or free."""
    # With few changes most tasks share some, with many none.
    changes = ascii_letters[: random.choice([4, 12, 52])]
    full_share = random.choice([0, 0, 0.3, 0.6])

    def some() -> frozenset[str]:
        return frozenset(random.choices(changes, k=random.choice([0, 0, 1, 3])))

    slots: list[Slot] = []
    for number in range(random.randrange(26)):
        poison, letters = (
            tuple(Letter(change, random.randint(LEASED - 5_000, NOW)) for change in some()) for _ in range(2)
        )
        refusing, ends = some() | {of.change for of in poison}, random.choice([NOW - 1, FAR, FAR, FAR])
        full = random.random() < full_share
        lease = Lease(f"task-{generation}-{number}", LEASED, ends, poison, refusing, full)
        slots.append(Slot(f"{number:02}", random.choice([None, lease, lease]), letters))
    return slots


fleets = st.builds(any_fleet, st.randoms(use_true_random=True))
runs = st.lists(st.tuples(st.integers(0, 4 * MINUTE), st.integers(0, 3), st.integers(0)), max_size=12)


def holders(slots: list[Slot], change: str, now: int) -> int:
    """How many tasks tell that they refuse a change, or tell of so much that they may."""
    return sum(
        slot.lease.full or change in slot.lease.refusing or any(of.change == change for of in slot.letters)
        for slot in slots
        if slot.lease and slot.lease.expires_at > now
    )


@given(slots=fleets)
def test_never_a_healthy_task_is_stopped(slots: list[Slot]) -> None:
    live = [slot for slot in slots if slot.lease and slot.lease.expires_at > NOW]
    made = decide(slots, Memory(), NOW)
    for slot in live:
        assert slot.lease
        if slot.lease.task not in made.stop:
            continue
        sent_to_it = {of.change for of in (*slot.letters, *slot.lease.poison) if of.sent_at >= LEASED}
        assert made.stop[slot.lease.task] <= sent_to_it
        assert made.stop[slot.lease.task], "it was stopped for nothing"
        for change in made.stop[slot.lease.task]:
            assert holders(slots, change, NOW) <= max(1, len(live) / 2), "most may refuse it"
    assert made.stop.keys() <= {slot.lease.task for slot in live if slot.lease}


@given(runs=runs)
def test_never_more_than_the_budget_is_stopped_in_any_ten_minutes(runs: list[tuple[int, int, int]]) -> None:
    now, memory = NOW, Memory()
    first_stop: dict[str, int] = {}
    sizes: list[tuple[int, int]] = []
    for later, generation, seed in runs:
        now += later
        slots = any_fleet(Random(seed), generation)
        made = decide(slots, memory, now)
        memory = made.memory
        sizes.append((now, sum(slot.lease is not None and slot.lease.expires_at > now for slot in slots)))
        for task in made.stop:
            first_stop.setdefault(task, now)
        since = now - 10 * MINUTE
        stopped = [task for task, at in first_stop.items() if since < at <= now]
        largest = max(size for at, size in sizes if at > since)
        assert len(stopped) <= max(1, largest // 5)


@given(slots=fleets, stopped=st.integers(NOW - 15 * MINUTE, NOW), known=st.sets(st.sampled_from("abcdef")))
def test_every_letter_is_archived_unless_its_slot_waits_and_one_is_held_against_its_task(
    slots: list[Slot], stopped: int, known: set[str]
) -> None:
    made = decide(slots, Memory({"task-0-1": stopped}, dict.fromkeys(known, NOW - MINUTE)), NOW)
    lettered = {slot.name for slot in slots if slot.letters}
    stay = lettered - made.archive.keys()
    assert stay <= set(made.waiting)
    for slot in slots:
        if slot.name in made.waiting and slot.letters:
            against = slot.own(made.memory.flooded_at) - made.memory.poison.keys()
            assert (slot.name in stay) == (not against.isdisjoint(of.change for of in slot.letters))
    if made.poison:
        assert made.stop == {}


def test_the_decision_module_makes_no_calls() -> None:
    assert not {"boto3", "os", "time"} & vars(decision).keys()


def test_the_experiment_waits_for_as_long_as_the_budget_remembers_a_stop() -> None:
    assert experiment.WINDOW_MS == decision.WINDOW_MS
