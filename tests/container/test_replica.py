from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.digest import digest_of
from consumer.message import Change
from consumer.replica import CLOCK_MARGIN_MS, Replica

RETENTION_SECONDS = 300.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def make(*changes: Change, clock: Clock | None = None) -> Replica:
    replica = Replica(RETENTION_SECONDS, clock or Clock())
    for change in changes:
        assert replica.apply(change) == "applied"
    return replica


def put(item_id: str, version: int) -> Change:
    return Change(item_id, version, f'{{"version":{version}}}')


def delete(item_id: str, version: int) -> Change:
    return Change(item_id, version, None)


def versions(replica: Replica) -> dict[str, int]:
    return {item_id: version for item_id, version, _ in replica.items()}


KNOWN = {"held": [put("a", 5)], "tombstoned": [put("a", 4), delete("a", 5)], "unknown": []}
OUTCOMES = {"higher": "applied", "same": "duplicate", "lower": "stale"}
VERSIONS = {"higher": 6, "same": 5, "lower": 4}


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("relation", VERSIONS)
@pytest.mark.parametrize("kind", ["patch", "delete"])
def test_only_a_higher_version_applies(kind: str, relation: str, known: str) -> None:
    replica = make(*KNOWN[known])
    before = versions(replica)
    change = put("a", VERSIONS[relation]) if kind == "patch" else delete("a", VERSIONS[relation])
    expected = "applied" if known == "unknown" else OUTCOMES[relation]
    assert replica.judge(change) == expected
    assert replica.apply(change) == expected
    applied = {"a": VERSIONS[relation]} if kind == "patch" else {}
    assert versions(replica) == (applied if expected == "applied" else before)
    # Whatever came of it, it is remembered: the same again is not news.
    assert replica.apply(change) != "applied"


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "statecast:watermark:0"]), st.integers(0, 9), st.booleans())
    ),
    data=st.data(),
)
def test_order_and_repetition_do_not_matter(changes: list[tuple[str, int, bool]], data: Any) -> None:
    # A version is one write: a put or a delete, never both.
    writes = [
        put(key, 2 * number) if is_put else delete(key, 2 * number + 1) for key, number, is_put in changes
    ]
    other = data.draw(st.permutations(writes + writes))
    one, two = Replica(RETENTION_SECONDS, Clock()), Replica(RETENTION_SECONDS, Clock())
    for change in writes:
        one.apply(change)
    for change in other:
        two.apply(change)
    assert sorted(one.items()) == sorted(two.items())
    assert one.digest == two.digest == digest_of(versions(one).items())
    assert len(one) == len(two) == len(versions(one))


def test_the_systems_items_are_held_but_not_counted() -> None:
    replica = make(put("statecast:watermark:0", 1), put("a", 1))
    assert (len(replica), versions(replica), replica.digest) == (1, {"a": 1}, digest_of([("a", 1)]))
    assert replica.apply(put("statecast:watermark:0", 1)) == "duplicate"
    replica.apply(delete("statecast:watermark:0", 2))
    assert len(replica) == 1


def test_a_tombstone_outlives_the_queues_retention() -> None:
    clock = Clock()
    replica = make(put("a", 4), delete("a", 5), clock=clock)
    clock.seconds = RETENTION_SECONDS + 1
    replica.apply(delete("b", 1))
    assert replica.apply(put("a", 4)) == "stale"


def test_an_expired_tombstone_is_forgotten_and_no_other() -> None:
    clock = Clock()
    replica = make(delete("a", 5), clock=clock)
    clock.seconds = 10
    replica.apply(delete("b", 5))
    clock.seconds = RETENTION_SECONDS + CLOCK_MARGIN_MS / 1000
    replica.apply(delete("c", 5))
    assert replica.apply(put("a", 4)) == "applied"
    assert replica.apply(put("b", 4)) == "stale"


def test_no_tombstone_is_forgotten_while_a_scan_is_under_way() -> None:
    clock = Clock()
    replica = make(put("a", 4), clock=clock)
    scan = replica.begin_scan()
    replica.apply(delete("a", 5))
    clock.seconds = RETENTION_SECONDS + CLOCK_MARGIN_MS / 1000
    replica.apply(delete("b", 1))
    assert replica.page(scan, [put("a", 4)]) == [], "the page was read before the delete"
    replica.end_scan(scan, 0)
    replica.apply(delete("b", 2))
    assert replica.apply(put("a", 4)) == "applied"


def test_a_tombstone_buried_again_begins_anew() -> None:
    clock = Clock()
    replica = make(delete("a", 5), delete("b", 5), clock=clock)
    clock.seconds = 200
    replica.apply(delete("a", 7))
    clock.seconds = RETENTION_SECONDS + 100
    replica.apply(delete("c", 1))
    assert replica.apply(put("a", 6)) == "stale"
    assert replica.apply(put("b", 4)) == "applied"


def test_a_scan_brings_what_is_missing_and_never_goes_back() -> None:
    replica = make(put("newer", 9), delete("deleted", 9))
    scan = replica.begin_scan()
    news = replica.page(scan, [put("missing", 3), put("newer", 8), put("deleted", 8)])
    assert news == [put("missing", 3)]
    assert replica.end_scan(scan, 0) == []
    assert versions(replica) == {"missing": 3, "newer": 9}


def test_a_key_that_the_scan_did_not_return_is_buried_at_its_version() -> None:
    replica = make(put("kept", 1), put("gone", 5))
    scan = replica.begin_scan()
    replica.page(scan, [put("kept", 1)])
    assert replica.end_scan(scan, 0) == [delete("gone", 6)]
    assert versions(replica) == {"kept": 1}
    assert replica.digest == digest_of([("kept", 1)])
    assert replica.apply(put("gone", 5)) == "duplicate"
    assert replica.apply(delete("gone", 6)) == "applied", "its REMOVE comes later"


def test_a_key_that_came_during_the_scan_is_not_taken_for_deleted() -> None:
    replica = make()
    scan = replica.begin_scan()
    replica.apply(put("new", 1))
    assert replica.end_scan(scan, 0) == []
    assert versions(replica) == {"new": 1}


def test_a_key_that_changed_during_the_scan_is_not_taken_for_deleted() -> None:
    replica = make(put("recreated", 1))
    scan = replica.begin_scan()
    replica.apply(delete("recreated", 2))
    replica.apply(put("recreated", 3))
    assert replica.end_scan(scan, 0) == []
    assert versions(replica) == {"recreated": 3}


def test_a_scan_that_another_replaced_says_nothing_about_deletes() -> None:
    replica = make(put("a", 1))
    old, new = replica.begin_scan(), replica.begin_scan()
    replica.page(new, [put("a", 1)])
    assert replica.end_scan(old, 1_000) == []
    assert replica.doubts(put("b", 1), 10**15), "no scan is complete"
    assert replica.end_scan(new, 2_000) == []
    assert versions(replica) == {"a": 1}


def scanned(ended_at: int) -> Replica:
    replica = make(put("held", 5), delete("buried", 5))
    scan = replica.begin_scan()
    replica.page(scan, [put("held", 5)])
    replica.end_scan(scan, ended_at)
    return replica


@pytest.mark.parametrize("key", ["unknown", "buried"])
@pytest.mark.parametrize(
    ("after_ms", "doubted"), [(-60_000, True), (CLOCK_MARGIN_MS - 1, True), (CLOCK_MARGIN_MS, False)]
)
def test_a_put_made_before_the_scan_ended_is_doubted_unless_held(
    key: str, after_ms: int, doubted: bool
) -> None:
    replica = scanned(1_000_000)
    assert replica.doubts(put(key, 9), 1_000_000 + after_ms) is doubted
    assert not replica.doubts(put("held", 9), 1_000_000 + after_ms)
    assert not replica.doubts(delete(key, 9), 1_000_000 + after_ms)


def test_before_any_scan_is_complete_every_put_of_an_unknown_key_is_doubted() -> None:
    assert make().doubts(put("a", 1), 10**15)


def test_another_queue_is_doubted_until_a_scan_that_began_since_is_complete() -> None:
    replica = scanned(1_000)
    former = replica.begin_scan()
    replica.change_queue()
    replica.end_scan(former, 2_000)
    assert replica.doubts(put("unknown", 9), 10**15)
    scan = replica.begin_scan()
    replica.page(scan, [put("held", 5)])
    replica.end_scan(scan, 3_000)
    assert not replica.doubts(put("unknown", 9), 10**15)


def test_after_another_queue_what_is_held_counts_as_live_once_the_scan_has_returned_it() -> None:
    replica = scanned(1_000)
    replica.change_queue()
    assert replica.doubts(put("held", 9), 10**15)
    scan = replica.begin_scan()
    assert replica.doubts(put("held", 9), 10**15), "it may have been deleted, for the former queue"
    replica.page(scan, [put("held", 5)])
    assert not replica.doubts(put("held", 9), 10**15)


def test_a_put_that_may_be_older_than_a_forgotten_tombstone_is_doubted() -> None:
    clock = Clock()
    replica = make(delete("a", 5), clock=clock)
    replica.end_scan(replica.begin_scan(), 0)
    assert not replica.doubts(put("a", 4), 10**15), "its tombstone tells"
    clock.seconds = 2 * RETENTION_SECONDS
    replica.apply(delete("b", 9))
    assert replica.apply(put("c", 1)) == "applied"
    for key in ("a", "unknown"):
        assert [replica.doubts(put(key, version), 10**15) for version in (4, 5, 6)] == [True, True, False]
    assert not replica.doubts(put("c", 2), 10**15)


def test_a_page_of_a_scan_that_no_longer_counts_is_left_out() -> None:
    replica = make()
    late = replica.begin_scan()
    replica.change_queue()
    assert replica.page(late, [put("deleted since", 1)]) == []
    scan = replica.begin_scan()
    assert replica.page(late, [put("deleted since", 1)]) == []
    replica.page(scan, [put("a", 1)])
    replica.end_scan(scan, 0)
    assert replica.page(scan, [put("b", 1)]) == []
    assert versions(replica) == {"a": 1}
