import threading
from typing import Any

import pytest

from bench.errors import ExperimentError
from bench.workload import PlannedWrite
from bench.writer import WRITERS, TableEntry, write_on_schedule

PLAN = [
    PlannedWrite(0, "insert", "a"),
    PlannedWrite(1, "update", "a"),
    PlannedWrite(2, "delete", "a"),
    PlannedWrite(3, "delete", "b"),
]


class Entry:
    """Knows one item. `first` is what the first write waits for."""

    def __init__(self, first: threading.Event | None = None) -> None:
        self.first = first
        self.written_at: list[int] = []
        self.traces: list[str] = []

    def put(self, item_id: str, value: int, written_at: int, traceparent: str) -> int:
        self.traces.append(traceparent)
        self.written_at.append(written_at)
        if value == 0 and self.first:
            assert self.first.wait(10)
        return 100 + value

    def delete(self, item_id: str) -> int:
        if item_id != "a":
            raise ExperimentError("there was no item b to delete")
        return 200


def test_every_write_is_recorded_in_the_plan_s_order_and_a_failed_one_says_why() -> None:
    advanced: list[None] = []
    writes = write_on_schedule(PLAN, 0.001, Entry(), lambda: advanced.append(None))
    assert [(write.number, write.kind, write.version, write.error) for write in writes] == [
        (0, "insert", 100, None),
        (1, "update", 101, None),
        (2, "delete", 200, None),
        (3, "delete", None, "there was no item b to delete"),
    ]
    assert len(advanced) == 4


def test_a_write_s_clock_is_that_which_its_item_carries() -> None:
    entry = Entry()
    writes = write_on_schedule(PLAN[:2], 0.001, entry, lambda: None)
    assert [write.written_at for write in writes] == entry.written_at


def test_a_slow_write_does_not_hold_up_the_next() -> None:
    answered = threading.Event()
    plan = [PlannedWrite(number, "update", "a") for number in range(WRITERS)]
    others = threading.Semaphore(0)

    def advance() -> None:
        others.release()
        if others.acquire(blocking=False):
            done.append(None)
        if len(done) == WRITERS - 1:
            answered.set()  # the first is answered when all others have been

    done: list[None] = []
    writes = write_on_schedule(plan, 0.001, Entry(answered), advance)
    assert all(write.error is None for write in writes)
    assert writes[0].acknowledged_at >= max(write.acknowledged_at for write in writes[1:])


def test_late_writes_keep_their_scheduled_time() -> None:
    plan = [PlannedWrite(number, "update", "a") for number in range(50)]
    writes = write_on_schedule(plan, 0.002, Entry(), lambda: None)
    last = writes[-1].scheduled_at - writes[0].scheduled_at
    assert last == pytest.approx(49 * 2, abs=3)
    assert writes[-1].written_at >= writes[-1].scheduled_at


def test_one_is_begun_in_each_interval_and_out_of_step_with_it() -> None:
    began = write_on_schedule(
        [PlannedWrite(number, "update", "a") for number in range(40)], 0.01, Entry(), lambda: None
    )
    first = began[0].scheduled_at
    # By what is left of the first interval earlier, and to the millisecond.
    places = [write.scheduled_at - first - 10 * number for number, write in enumerate(began)]
    assert all(-11 <= place <= 11 for place in places)
    assert len(set(places)) > 4


def test_the_moments_are_the_same_in_each_run() -> None:
    plan = [PlannedWrite(number, "update", "a") for number in range(10)]
    runs = [
        [write.scheduled_at for write in write_on_schedule(plan, 0.02, Entry(), lambda: None)] for _ in "ab"
    ]
    one, other = ([at - moments[0] for at in moments] for moments in runs)
    assert one == other


class Table:
    """What the table was asked, and an answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def update_item(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        return self.answer

    delete_item = update_item


def test_a_put_raises_the_version_from_the_clock_and_carries_clock_and_trace() -> None:
    table = Table({"Attributes": {"version": {"N": "8"}}})
    assert TableEntry(table, "state").put("a", 5, 1_700_000_000_000, "trace") == 8  # pyright: ignore[reportArgumentType]
    names, values = table.asked["ExpressionAttributeNames"], table.asked["ExpressionAttributeValues"]
    assert table.asked["UpdateExpression"].startswith("SET #version = if_not_exists(#version, :now) + :one, ")
    assert names == {f"#{name}": name for name in ("version", "writtenAt", "traceparent", "value")}
    assert values[":now"] == {"N": "1700000000000"}
    assert values[":traceparent"] == {"S": "trace"}


def test_each_put_has_a_trace_of_its_own_and_a_delete_none() -> None:
    entry = Entry()
    writes = write_on_schedule(PLAN, 0.001, entry, lambda: None)
    assert [write.traceparent for write in writes] == [*entry.traces, None, None]
    assert len(set(entry.traces)) == 2
    version, trace, span, flags = entry.traces[0].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


def test_a_delete_is_one_version_above_the_item_s_last() -> None:
    table = Table({"Attributes": {"version": {"N": "8"}}})
    assert TableEntry(table, "state").delete("a") == 9  # pyright: ignore[reportArgumentType]
    assert table.asked["ReturnValues"] == "ALL_OLD"


def test_a_delete_of_nothing_is_no_change() -> None:
    with pytest.raises(ExperimentError, match="there was no item a to delete"):
        TableEntry(Table({}), "state").delete("a")  # pyright: ignore[reportArgumentType]
