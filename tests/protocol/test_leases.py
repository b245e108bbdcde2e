"""Leases: whatever the clocks and however late the calls, a slot has one holder."""

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.lease import Lease, SlotLease, candidates, read_leases, slot_names
from consumer.replica import CLOCK_MARGIN_MS
from tests.protocol.cloud import START_MS, LeasesClient
from tests.protocol.task import GRACE_MS, LEASE_SECONDS, time_of_day

SLOTS = slot_names(3)
TASKS = 5

times = st.integers(0, 300_000)
slot_leases = st.builds(
    SlotLease,
    slot=st.sampled_from(slot_names(9)),
    token=st.none() | st.just("token"),
    expires_at=times,
    freed_at=st.none() | times,
)


@given(leases=st.lists(slot_leases), now=times)
def test_a_candidate_is_free_or_long_expired_and_none_of_these_is_left_out(
    leases: list[SlotLease], now: int
) -> None:
    found = candidates(leases, now, GRACE_MS)
    takeable = [lease for lease in leases if lease.token is None or lease.expires_at <= now - GRACE_MS]
    assert sorted(found, key=repr) == sorted(takeable, key=repr)


@given(leases=st.lists(slot_leases), now=times)
def test_candidates_come_never_leased_first_then_free_then_expired_the_longest_before_the_others(
    leases: list[SlotLease], now: int
) -> None:
    found = candidates(leases, now, GRACE_MS)
    never = [lease for lease in found if lease.token is None and lease.freed_at is None]
    free = [lease for lease in found if lease.token is None and lease.freed_at is not None]
    expired = [lease for lease in found if lease.token is not None]
    assert found == never + free + expired
    assert [lease.freed_at for lease in free] == sorted(lease.freed_at or 0 for lease in free)
    assert [lease.expires_at for lease in expired] == sorted(lease.expires_at for lease in expired)


class SlowLeases(LeasesClient):
    """Each write is under way for a while before it is made, and its answer after it."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.now = START_MS
        self._random = random

    def pass_time(self, most_seconds: int) -> None:
        self.now += int(self._random.random() ** 4 * most_seconds * 1000)

    def update_item(self, **call: Any) -> None:
        self.pass_time(2 * LEASE_SECONDS)
        try:
            super().update_item(**call)
        finally:
            self.pass_time(2 * LEASE_SECONDS)


class Holder:
    """A task as far as leases go, with clocks of its own."""

    def __init__(self, name: str, table: SlowLeases, random: Random) -> None:
        self.lease: Lease | None = None
        self._name = name
        self._table: Any = table
        self._random = random
        self._skew = random.randint(-CLOCK_MARGIN_MS, CLOCK_MARGIN_MS)

    def now_ms(self) -> int:
        return self._table.now + self._skew

    def steady(self) -> float:
        return self._table.now / 1000

    def act(self) -> None:
        """Take a slot, or renew or release the one that is held."""
        with time_of_day(self.now_ms):
            if self.lease is None or not self.lease.held():
                self.lease = self._take()
            elif self._random.random() < 0.8:
                self.lease.renew({})
            else:
                self.lease.release()

    def _take(self) -> Lease | None:
        found = candidates(read_leases(self._table, "leases", SLOTS), self.now_ms(), GRACE_MS)
        for seen in found:
            lease = Lease(self._table, "leases", seen.slot, seconds=LEASE_SECONDS, clock=self.steady)
            if lease.acquire(seen, self._name):
                return lease
        return None


def test_no_slot_is_held_by_two_tasks_at_once() -> None:
    all_held = 0
    for seed in range(200):
        random = Random(seed)
        table = SlowLeases(random)
        holders = [Holder(f"task {number}", table, random) for number in range(TASKS)]
        for _ in range(100):
            table.pass_time(LEASE_SECONDS)
            random.choice(holders).act()
            held = [holder.lease.slot for holder in holders if holder.lease and holder.lease.held()]
            assert len(held) == len(set(held)), f"seed {seed}"
            all_held += len(held) == len(SLOTS)
    assert all_held > 100


def test_a_lease_that_was_seen_lost_is_never_held_again() -> None:
    clock = 0.0
    held: list[bool] = []

    class Slow(LeasesClient):
        def update_item(self, **call: Any) -> None:
            nonlocal clock
            super().update_item(**call)
            if held:
                clock += 2
                held.append(lease.held())

    table: Any = Slow()
    lease = Lease(table, "leases", "00", seconds=LEASE_SECONDS, clock=lambda: clock)
    assert lease.acquire(SlotLease("00"), "task")
    held.append(lease.held())
    clock += LEASE_SECONDS - 1
    lease.renew({})
    held.append(lease.held())
    assert held == [True, False, False]
