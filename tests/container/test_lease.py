from typing import Any
from uuid import uuid4

import boto3
import pytest

from consumer.lease import Lease, SlotLease, candidates, read_leases, slot_names, why_none

NOW = 1_000_000
GRACE_MS = 50_000

NEVER = SlotLease("00")
FREED = SlotLease("01", freed_at=NOW - 10)
FREED_LONG_AGO = SlotLease("02", freed_at=NOW - 99_999)
LEASED = SlotLease("03", "token", expires_at=NOW + 1)
JUST_EXPIRED = SlotLease("04", "token", expires_at=NOW - GRACE_MS + 1)
EXPIRED = SlotLease("05", "token", expires_at=NOW - GRACE_MS)
EXPIRED_LONG_AGO = SlotLease("06", "token", expires_at=NOW - 99_999)
ALL = [LEASED, EXPIRED, FREED, EXPIRED_LONG_AGO, NEVER, JUST_EXPIRED, FREED_LONG_AGO]


def test_slots_are_numbered_as_their_queues_are_listed() -> None:
    assert slot_names(3) == ["00", "01", "02"]
    assert (slot_names(101)[1], slot_names(101)[99], slot_names(101)[100]) == ("01", "99", "100")


def test_a_slot_keeps_its_name_when_there_are_more() -> None:
    assert slot_names(120)[:100] == slot_names(100)


def test_free_slots_come_first_and_those_in_use_not_at_all() -> None:
    assert candidates(ALL, NOW, GRACE_MS) == [NEVER, FREED_LONG_AGO, FREED, EXPIRED_LONG_AGO, EXPIRED]


def test_slots_that_are_as_good_keep_their_order() -> None:
    slots = [SlotLease("07"), SlotLease("03"), SlotLease("05")]
    assert candidates(slots, NOW, GRACE_MS) == slots


@pytest.mark.parametrize(
    ("leases", "reason"),
    [
        ([LEASED] * 8, "no free slot: 8 of 8 leased"),
        (
            [LEASED, JUST_EXPIRED, JUST_EXPIRED],
            "no free slot: 1 of 3 leased, 2 expired, the first to be had in 0 s",
        ),
        (
            [LEASED, SlotLease("01", "token", expires_at=NOW)],
            "no free slot: 1 of 2 leased, 1 expired, the first to be had in 50 s",
        ),
    ],
)
def test_a_task_that_finds_no_slot_says_why(leases: list[SlotLease], reason: str) -> None:
    assert candidates(leases, NOW, GRACE_MS) == []
    assert why_none(leases, NOW, GRACE_MS) == reason


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Office:
    """A leases table on the emulator."""

    def __init__(self, endpoint: str) -> None:
        self.dynamodb: Any = boto3.client(
            "dynamodb",
            endpoint_url=endpoint,
            region_name="eu-south-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self.table = f"leases-{uuid4().hex[:8]}"
        self.clock = Clock()
        self.dynamodb.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "slot", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "slot", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def lease(self, seconds: float = 15, dynamodb: Any = None) -> Lease:
        return Lease(dynamodb or self.dynamodb, self.table, "00", seconds=seconds, clock=self.clock)

    def seen(self) -> SlotLease:
        return read_leases(self.dynamodb, self.table, ["00"])[0]

    def item(self) -> dict[str, Any]:
        return self.dynamodb.get_item(TableName=self.table, Key={"slot": {"S": "00"}})["Item"]


@pytest.fixture
def office(emulator: str) -> Office:
    return Office(emulator)


@pytest.mark.emulator
class TestOnTheEmulator:
    def test_a_free_slot_is_taken_by_one_of_two(self, office: Office) -> None:
        seen = office.seen()
        assert seen == SlotLease("00")
        first, second = office.lease(), office.lease()
        assert (first.acquire(seen, "arn:first"), second.acquire(seen, "arn:second")) == (True, False)
        assert (first.held(), second.held()) == (True, False)
        item = office.item()
        assert (item["task"], item["ready"]) == ({"S": "arn:first"}, {"BOOL": False})
        assert int(item["expiresAt"]["N"]) == pytest.approx(int(item["leasedAt"]["N"]) + 15_000, abs=1_000)

    def test_an_expired_slot_is_taken_and_its_former_lessee_loses_it(self, office: Office) -> None:
        former, successor = office.lease(), office.lease()
        former.acquire(office.seen(), "arn:former")
        # When to take it is decided by `candidates`; here the former lessee's own clock has not run out yet.
        assert successor.acquire(office.seen(), "arn:successor")
        assert former.held()
        former.renew({"ready": True})
        assert not former.held()
        assert not former.release()
        assert (office.item()["task"], office.item()["ready"]) == ({"S": "arn:successor"}, {"BOOL": False})

    def test_a_lease_that_was_renewed_meanwhile_is_not_taken(self, office: Office) -> None:
        holder, other = office.lease(), office.lease()
        holder.acquire(office.seen(), "arn:holder")
        seen = office.seen()
        while office.seen() == seen:  # within the same millisecond
            holder.renew({"ready": True})
        assert not other.acquire(seen, "arn:other")
        assert holder.held()

    def test_a_lease_is_held_until_its_deadline_and_lost_for_good_after_it(self, office: Office) -> None:
        lease = office.lease(seconds=15)
        lease.acquire(office.seen(), "arn:task")
        office.clock.seconds = 14.9
        lease.renew({"ready": True})
        office.clock.seconds = 29.8
        assert lease.held()
        office.clock.seconds = 29.9
        assert not lease.held()
        lease.renew({"ready": False})
        assert not lease.held(), "what happened since is not known"
        assert office.item()["ready"] == {"BOOL": True}

    def test_the_deadline_counts_from_before_the_call(self, office: Office) -> None:
        class Slow:
            def update_item(self, **call: Any) -> Any:
                office.clock.seconds += 15
                return office.dynamodb.update_item(**call)

        lease = office.lease(seconds=15, dynamodb=Slow())
        assert lease.acquire(office.seen(), "arn:task")
        assert not lease.held()

    def test_an_acquisition_that_boto3_repeats_succeeds(self, office: Office) -> None:
        class Repeating:
            def update_item(self, **call: Any) -> Any:
                office.dynamodb.update_item(**call)
                return office.dynamodb.update_item(**call)

        assert office.lease(dynamodb=Repeating()).acquire(office.seen(), "arn:task")

    def test_a_released_slot_is_free_and_says_since_when(self, office: Office) -> None:
        lease = office.lease()
        lease.acquire(office.seen(), "arn:task")
        assert lease.release()
        assert not lease.held()
        seen = office.seen()
        assert (seen.token, seen.expires_at) == (None, 0)
        assert seen.freed_at
        assert not {"lease", "expiresAt"} & set(office.item())
        assert office.lease().acquire(seen, "arn:next")
        assert "freedAt" not in office.item()

    def test_a_report_is_written_as_documented(self, office: Office) -> None:
        lease = office.lease()
        lease.acquire(office.seen(), "arn:task")
        poison = {"message": "m", "id": None, "version": 7, "reason": "no"}
        lease.renew({"ready": True, "items": 2, "digest": "ff", "lag": {"lambda": 3}, "poison": [poison]})
        item = office.item()
        assert item["items"] == {"N": "2"}
        assert item["lag"] == {"M": {"lambda": {"N": "3"}}}
        assert item["poison"]["L"][0]["M"] == {
            "message": {"S": "m"},
            "id": {"NULL": True},
            "version": {"N": "7"},
            "reason": {"S": "no"},
        }

    def test_more_slots_than_one_call_may_read_are_all_read(self, office: Office) -> None:
        lease = Lease(office.dynamodb, office.table, "104", seconds=15)
        lease.acquire(SlotLease("104"), "arn:task")
        found = read_leases(office.dynamodb, office.table, slot_names(105))
        assert [seen.slot for seen in found] == slot_names(105)
        assert [seen.slot for seen in found if seen.token] == ["104"]
