from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.faults.checker import (
    Behind,
    Excuse,
    Life,
    Sample,
    Scan,
    Struck,
    behind,
    check,
    counted,
    explained,
    lives,
    merged,
    recovery_ms,
    scan_told,
    settled,
)
from bench.faults.schedule import ONE_CUT, PUSH_CUT, THROWS
from bench.fleet import Lease
from bench.workload import Kind
from bench.writer import Write
from tests.bench.synthetic import START, delivery, write

PUT, DELETE = "update", "delete"


def lease(task: str = "task/0", *, leased_at: int = 0, ready: bool = True, mode: str = "push") -> Lease:
    return Lease("00", task, leased_at, ready, mode, 1, "d", {})


@pytest.mark.parametrize(
    ("made", "table", "held", "kinds"),
    [
        ([(PUT, 5)], 5, 5, []),
        ([(PUT, 5), (PUT, 6)], 6, 6, []),
        ([(PUT, 5), (DELETE, 6)], None, None, []),
        ([(PUT, 5), (DELETE, 6), (PUT, 9)], 9, 9, []),
        ([(PUT, 5)], 5, None, [("lost", 5)]),
        ([(PUT, 5), (PUT, 6)], 6, 5, [("stale", 6)]),
        ([(PUT, 5), (PUT, 6)], 6, None, [("lost", 5), ("lost", 6)]),
        ([(PUT, 5), (PUT, 6), (PUT, 7)], 7, 5, [("stale", 6), ("stale", 7)]),
        ([(PUT, 5), (DELETE, 6)], None, 5, [("resurrected", 6)]),
        ([(PUT, 5), (PUT, 6), (DELETE, 7)], None, 5, [("resurrected", 7)]),
        ([(PUT, 5), (DELETE, 6), (PUT, 9)], 9, 5, [("resurrected", 6), ("stale", 9)]),
        ([(PUT, 5), (DELETE, 6), (PUT, 9)], 9, None, [("lost", 9)]),
    ],
)
def test_each_acknowledged_write_is_held_superseded_deleted_or_named(
    made: Sequence[tuple[Kind, int]], table: int | None, held: int | None, kinds: list[tuple[str, int]]
) -> None:
    writes = [write(number, version=version, kind=kind) for number, (kind, version) in enumerate(made)]
    found = check(
        writes,
        {"a": table} if table else {},
        {"task/0": {"a": held} if held else {}, "task/1": {"a": table or 99}},
    )
    assert [(one.kind, one.version) for one in found if one.task == "task/0"] == kinds
    assert all(one.held == held and one.id == "a" for one in found)


def test_a_write_without_an_answer_may_have_been_made_or_not() -> None:
    unanswered = replace(write(1), version=None, error="timeout")
    assert check([write(0, version=5), unanswered], {"a": 6}, {"t": {"a": 6}}) == []
    assert check([write(0, version=5), unanswered], {}, {"t": {}}) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1), st.randoms())
def test_a_task_that_holds_what_the_table_holds_is_never_blamed(
    made: list[tuple[str, bool]], random: object
) -> None:
    table: dict[str, int] = {}
    writes: list[Write] = []
    for number, (key, deletes) in enumerate(made):
        if deletes and key in table:
            writes.append(write(number, key, table.pop(key) + 1, "delete"))
        else:
            table[key] = table.get(key, 10 * number) + 1
            writes.append(write(number, key, table[key]))
    assert check(writes, table, {"t": dict(table)}) == []
    for key, version in table.items():
        without = {other: of for other, of in table.items() if other != key}
        blamed = [(one.kind, one.version) for one in check(writes, table, {"t": without})]
        assert blamed[-1] == ("lost", version)


def test_a_life_is_a_tenure_for_as_long_as_its_task_was_ready() -> None:
    samples = [
        Sample(1, 1, [lease(ready=False)]),
        Sample(2, 1, [lease()]),
        Sample(3, 1, [lease()]),
        Sample(4, 1, []),
        Sample(5, 1, [lease(leased_at=4)]),
    ]
    assert lives(samples) == [Life("task/0", 0, 2, 3), Life("task/0", 4, 5, 5)]


def test_counts_are_of_tenures_by_their_last_word() -> None:
    told = [[(0, 1)], [(0, 2)], [(0, 2), (5, 0)], [(5, 1)]]
    samples = [
        Sample(at, 1, [replace(lease(leased_at=since), fallbacks=count) for since, count in leases])
        for at, leases in enumerate(told)
    ]
    assert counted(samples, lambda lease: lease.fallbacks) == 3


LIFE = Life("task/0", START, START + 100, START + 60_000)


@pytest.mark.parametrize(
    ("after", "late"),
    [
        ([100], []),
        ([2000], []),
        ([2100], [Behind("task/0", START + 1005, START + 3100)]),
        ([9000, 5000], [Behind("task/0", START + 1005, START + 6000)]),
        ([], [Behind("task/0", START + 1005, LIFE.until)]),
    ],
)
def test_a_task_is_behind_from_the_acknowledgement_until_it_handled_the_write(
    after: list[int], late: list[Behind]
) -> None:
    one = write(1)
    assert behind([one], [delivery(one, after=ms) for ms in after], [], [LIFE]) == late


def test_a_later_version_ends_the_wait_and_another_task_s_does_not() -> None:
    one, later = write(1), write(2)
    came = [delivery(later, after=500), delivery(one, "task/1", after=10)]
    assert behind([one], came, [], [LIFE]) == []
    assert behind([one], came[1:], [], [LIFE]) != []


def test_a_scan_that_began_after_the_acknowledgement_brings_the_write() -> None:
    one, at = write(1), START + 1005
    assert behind([one], [], [Scan("task/0", at, at + 1000)], [LIFE]) == []
    assert behind([one], [], [Scan("task/0", at, at + 3000)], [LIFE]) == [Behind("task/0", at, at + 3000)]
    others = [Scan("task/0", at - 1, at + 1000), Scan("task/1", at, at + 1000)]
    assert behind([one], [], others, [LIFE]) == [Behind("task/0", at, LIFE.until)]


def test_a_line_tells_of_a_scan_from_its_beginning_to_its_end() -> None:
    line = '{"event":"snapshot complete","at":5000,"task":"task/0","items":3,"seconds":1.5}'
    assert scan_told(line) == Scan("task/0", 3500, 5000)
    assert scan_told('{"event":"slot taken","at":5000,"task":"task/0"}') is None


def test_a_task_that_was_not_ready_yet_is_late_from_then_on() -> None:
    one = write(1)
    late = behind([one], [delivery(one, after=9000)], [], [replace(LIFE, ready_at=START + 5000)])
    assert late == [Behind("task/0", START + 5000, START + 10_000)]


def test_periods_of_a_task_that_touch_are_one() -> None:
    periods = [
        Behind("b", 1, 2),
        Behind("a", 5, 9),
        Behind("a", 1, 5),
        Behind("a", 2, 3),
        Behind("a", 10, 11),
    ]
    assert merged(periods) == [Behind("a", 1, 9), Behind("a", 10, 11), Behind("b", 1, 2)]


def test_a_task_at_the_digest_of_the_end_knows_all() -> None:
    samples = [Sample(5, 2, [lease("a"), replace(lease("b"), digest="other")]), Sample(6, 2, [lease("b")])]
    assert list(settled(samples, "d")) == [Scan("a", 5, 5), Scan("b", 6, 6)]


LATE = Behind("task/0", 10_000, 20_000)


@pytest.mark.parametrize(
    ("struck", "so"),
    [
        ([], False),
        ([Struck("excuses 5 s", 12_000, 15_000)], True),
        ([Struck("excuses 5 s", 12_001, 15_000)], False),
        ([Struck("excuses 5 s", 12_000, 14_999)], False),
        ([Struck("excuses 5 s", 12_000, 15_000, ["task/0"])], True),
        ([Struck("excuses 5 s", 12_000, 15_000, ["task/1"])], False),
        ([Struck("excuses nobody", 9_000, 30_000)], False),
        ([Struck("excuses its first 3 s", 9_000, 30_000)], False),
        ([Struck("excuses its first 3 s", 17_000, 19_999)], False),
        ([Struck("excuses its first 3 s", 12_000, 20_000)], False),
        ([Struck("excuses its first 3 s", 12_000, 16_500)], True),
        ([Struck("excuses 5 s", 9_000, 10_000), Struck("excuses 5 s", 16_000, 17_000)], True),
        ([Struck("excuses 5 s", 9_000, 10_000), Struck("excuses 5 s", 18_000, 19_000)], False),
    ],
)
def test_a_period_is_explained_when_faults_that_hit_the_task_cover_all_of_it(
    struck: list[Struck], so: bool
) -> None:
    excuses = {
        "excuses 5 s": Excuse(5),
        "excuses its first 3 s": Excuse(5, first_s=3),
        "excuses nobody": None,
    }
    assert explained(LATE, struck, excuses) is so


@pytest.mark.parametrize(
    ("struck", "so"),
    [
        ([Struck(THROWS, 0, 10_000), Struck(ONE_CUT, 16_000, 36_000)], True),
        ([Struck(PUSH_CUT, 0, 10_000), Struck(ONE_CUT, 20_000, 36_000)], True),
        ([Struck(THROWS, 0, 10_000), Struck(ONE_CUT, 20_001, 36_000)], False),
        ([Struck(THROWS, 0, 14_000), Struck(ONE_CUT, 13_999, 36_000)], False),
        ([Struck(ONE_CUT, 0, 10_000), Struck(THROWS, 16_000, 36_000)], False),
        ([Struck(THROWS, 0, 10_000)], False),
        ([Struck(ONE_CUT, 16_000, 36_000)], False),
    ],
)
def test_a_forwarder_that_is_cut_while_the_other_is_at_its_backlog_explains(
    struck: list[Struck], so: bool
) -> None:
    excuses: dict[str, Excuse | None] = {THROWS: None, PUSH_CUT: None, ONE_CUT: None}
    assert explained(Behind("task", 13_000, 19_500), struck, excuses) is so
    assert not explained(Behind("task", 13_000, 22_500), struck, excuses)


def test_recovery_is_when_all_wanted_tasks_are_ready_and_none_is_late() -> None:
    killed = Struck("task killed", 0, 1000, ["gone"])
    gone, new = lease("gone"), lease("new", leased_at=900)
    samples = [
        Sample(900, 1, [lease("other")]),  # before its end
        Sample(1100, 2, [gone, lease("other")]),  # the dead task's lease
        Sample(1200, 2, [replace(new, ready=False), lease("other")]),
        Sample(1400, 2, [new, lease("other")]),  # late
        Sample(1500, 2, [new, lease("other")]),
    ]
    assert recovery_ms(killed, samples, [Behind("other", 1350, 1450)]) == 500
    assert recovery_ms(killed, samples[:-1], [Behind("other", 1350, 1450)]) is None
