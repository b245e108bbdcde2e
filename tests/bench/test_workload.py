from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bench import workload

counts, chosen = st.integers(0, 400), st.integers(0, 2**32 - 1)


@given(counts, chosen)
def test_the_same_seed_makes_the_same_plan(count: int, seed: int) -> None:
    assert workload.plan(count, seed, "p:") == workload.plan(count, seed, "p:")


def test_another_seed_makes_another_plan() -> None:
    assert workload.plan(40, 1, "p:") != workload.plan(40, 2, "p:")


@given(st.integers(0, 40), chosen)
def test_each_ten_writes_are_seven_updates_two_inserts_and_a_delete(tens: int, seed: int) -> None:
    plan = workload.plan(10 * tens, seed, "p:")
    for start in range(0, len(plan), 10):
        kinds = Counter(write.kind for write in plan[start : start + 10])
        assert kinds == {"update": 7, "insert": 2, "delete": 1}


@given(counts, chosen)
def test_every_write_finds_its_item_as_its_kind_needs_it(count: int, seed: int) -> None:
    plan = workload.plan(count, seed, "p:")
    live = {write.id for write in workload.seeds("p:")}
    assert [write.number for write in plan] == list(range(count))
    for write in plan:
        assert write.id.startswith("p:")
        assert (write.id in live) == (write.kind != "insert")
        (live.discard if write.kind == "delete" else live.add)(write.id)


@given(counts, chosen)
def test_a_live_key_rests_between_its_writes(count: int, seed: int) -> None:
    last: dict[str, int] = {}
    for write in workload.plan(count, seed, "p:"):
        if write.kind != "insert":
            assert write.number - last.get(write.id, -99) > workload.SPACING
        last[write.id] = write.number


def test_deleted_keys_come_back() -> None:
    writes = [(write.kind, write.id) for write in workload.plan(100, 3, "p:")]
    deleted = {key for kind, key in writes if kind == "delete"}
    assert deleted & {key for kind, key in writes if kind == "insert"}
