"""The reader on a table that is kept in memory."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from consumer.message import Change
from consumer.reader import MOST_SEGMENTS, SEGMENT_BYTES, Reader, next_step, segments
from consumer.repairs import Repairs
from consumer.replica import Replica
from tests.container.messages import TABLE, given, image
from tests.container.test_inbox import SETTINGS

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Scan")
WHO = {"table": TABLE, "task": "arn:task", "slot": "01"}


class Table:
    """What a Scan returns: by default the items of its first segment are all there are."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = list(items)
        self.answers: list[Any] = []  # of segment 0, before its items; an exception is raised
        self.calls: list[dict[str, Any]] = []
        self.before: Callable[[], None] = lambda: None

    def scan(self, **call: Any) -> Any:
        assert (call["TableName"], call["ConsistentRead"]) == (TABLE, True)
        if call["Segment"] > 0:
            return given({"Items": []})
        self.calls.append(call)
        self.before()
        answer = self.answers.pop(0) if self.answers else {"Items": list(self.items)}
        if isinstance(answer, Exception):
            raise answer
        return given(answer)

    @property
    def starts(self) -> list[Any]:
        return [call.get("ExclusiveStartKey") for call in self.calls]


class Push:
    late = False

    def is_late(self, now: int) -> bool:
        return self.late


class World:
    """A reader whose waits take no time: after each a step happens; after the last step it is closed."""

    def __init__(self, table: Table, *steps: Callable[[], None], **changes: Any) -> None:
        self.table = table
        self.steps = list(steps)
        self.push = Push()
        self.now = 0.0
        self.waits: list[float] = []
        self.changes = 0
        self.replica = Replica(300, lambda: self.now)
        self.repairs = Repairs(14, lambda: self.now)
        self.reader = Reader(
            replace(SETTINGS, **changes),
            WHO,
            self.replica.begin_scan(),
            replica=self.replica,
            dynamodb=cast(Any, table),
            watermark=cast(Any, self.push),
            repairs=self.repairs,
            changed=self.changed,
        )
        self.reader._closed = cast(Any, self)
        self.closed = False

    def changed(self) -> None:
        self.changes += 1

    # What the reader sees of the event by which it is closed.

    def is_set(self) -> bool:
        return self.closed

    def set(self) -> None:
        self.closed = True

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        if self.steps and not self.closed:
            self.steps.pop(0)()
            return self.closed
        return True

    def versions(self) -> dict[str, int]:
        return {item_id: version for item_id, version, _ in self.replica.items()}


@pytest.fixture(autouse=True)
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.failures.random.uniform", lambda low, high: 0)
    monkeypatch.setattr("consumer.reader.random.uniform", lambda low, high: high)


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


def clocked(monkeypatch: pytest.MonkeyPatch, world: World) -> World:
    monkeypatch.setattr("consumer.reader.steady", lambda: world.now)
    world.reader._due = world.reader.active_at = 0
    return world


def nothing() -> None:
    pass


FIRST = {
    "Items": [image("a", 1), {"id": {"S": "unversioned"}}, image("statecast:watermark:0", 3)],
    "LastEvaluatedKey": {"id": {"S": "a"}},
}
LAST = {"Items": [image("b", 2)]}


def paged(*answers: Any) -> Table:
    table = Table()
    table.answers = list(answers)
    return table


@pytest.mark.parametrize(
    ("mode", "late", "due", "step"),
    [
        ("push", False, False, "wait"),
        ("push", False, True, "rescan"),
        ("push", True, False, "fall back"),
        ("push", True, True, "fall back"),
        ("poll", True, False, "wait"),
        ("poll", True, True, "poll"),
        ("poll", False, False, "return"),
        ("poll", False, True, "return"),
    ],
)
def test_what_to_do_next(mode: Any, late: bool, due: bool, step: str) -> None:
    assert next_step(mode, late=late, due=due) == step


def test_a_small_table_is_read_in_one_part_and_a_large_one_in_several() -> None:
    sizes = [0, SEGMENT_BYTES - 1, SEGMENT_BYTES, 99 * SEGMENT_BYTES]
    assert [segments(size) for size in sizes] == [1, 1, 2, MOST_SEGMENTS]


def test_the_snapshot_goes_on_where_a_page_ended_and_leaves_out_what_is_no_item(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    world = World(paged(FIRST, LAST))
    world.reader.run()
    assert world.table.starts == [None, {"id": {"S": "a"}}]
    assert (world.reader.complete, world.changes, world.versions()) == (True, 1, {"a": 1, "b": 2})
    assert not world.replica.doubts(Change("new", 1, "{}"), 10**15)
    [line] = lines()
    assert (line["event"], line["items"], line["unversioned"]) == ("snapshot complete", 2, 1)


def test_the_segments_of_a_scan_are_read_side_by_side_and_all_to_their_end() -> None:
    class Segmented:
        def __init__(self) -> None:
            self.calls: list[tuple[int, int, Any]] = []

        def scan(self, **call: Any) -> Any:
            segment, start = call["Segment"], call.get("ExclusiveStartKey")
            self.calls.append((segment, call["TotalSegments"], start))
            if start:
                return given({"Items": [image(f"{segment}-last", 1)]})
            more = {"LastEvaluatedKey": {"id": {"S": str(segment)}}}
            return given({"Items": [image(f"{segment}-first", 1)], **more})

    table = Segmented()
    world = World(cast(Any, table))
    world.reader.run()
    assert set(world.versions()) == {
        f"{number}-{page}" for number, page in product(range(MOST_SEGMENTS), ("first", "last"))
    }
    assert len(table.calls) == 2 * MOST_SEGMENTS
    assert {count for _, count, _ in table.calls} == {MOST_SEGMENTS}


def test_a_segment_that_is_not_read_to_its_end_ends_the_reader_and_buries_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def scan(self, **call: Any) -> Any:
            return given({"Items": []}) if call["Segment"] == 0 else {"no": "items"}

    monkeypatch.setattr("threading.excepthook", lambda arguments: None)
    world = World(cast(Any, Broken()))
    world.replica.apply(Change("held", 1, "{}"))
    with pytest.raises(RuntimeError, match=r"^1 of 2 segments of the table were not read$"):
        world.reader.run()
    assert (world.reader.complete, world.versions()) == (False, {"held": 1})


def test_a_page_that_fails_is_tried_again(lines: Callable[[], list[dict[str, Any]]]) -> None:
    table = paged(FIRST, THROTTLED, THROTTLED, LAST)
    world = World(table, nothing, nothing)
    troubles: list[Any] = []
    table.before = lambda: troubles.append(world.reader.failures.trouble())
    world.reader.run()
    assert table.starts == [None, *[{"id": {"S": "a"}}] * 3]
    assert [trouble and (trouble.code, trouble.curable) for trouble in troubles][2:] == [
        ("cannot-read", False),
        ("cannot-read", False),
    ]
    assert world.reader.failures.trouble() is None
    assert world.versions() == {"a": 1, "b": 2}
    assert [line["event"] for line in lines()] == ["page not read", "page not read", "snapshot complete"]


def test_one_that_is_closed_before_its_end_is_never_complete_and_buries_nothing() -> None:
    table = paged(FIRST, LAST)
    world = World(table)
    world.replica.apply(Change("held", 1, "{}"))
    table.before = lambda: world.reader.close() if len(table.calls) == 2 else None
    world.reader.run()
    assert (world.reader.complete, world.changes) == (False, 0)
    assert "held" in world.versions()
    assert world.replica.doubts(Change("new", 1, "{}"), 10**15)


def test_one_that_is_closed_begins_no_scan_and_ends_none_of_the_next_tenure() -> None:
    world = World(paged(FIRST, LAST))
    world.reader.close()
    snapshot = world.replica.begin_scan()  # the next tenure's
    world.reader._rescan("rescan")
    assert world.replica.page(snapshot, [Change("a", 1, "{}")])
    assert world.table.calls == []


def test_a_change_that_is_applied_during_the_scan_is_kept() -> None:
    table = paged(FIRST, LAST)
    world = World(table)

    def change() -> None:
        world.replica.apply(Change("b", 9, "{}"))
        world.replica.apply(Change("a", 2, None))

    table.before = change
    world.reader.run()
    assert world.versions() == {"b": 9}


def test_a_rescan_comes_when_it_is_due_and_repairs_and_counts_what_no_message_told(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    table = Table(image("kept", 1), image("gone", 5), image("changed", 1))
    seen: list[Any] = []

    def change_in_silence() -> None:
        table.items = [image("kept", 1), image("changed", 2), image("told", 1)]
        world.now = 1_079.5  # 900 s and a fifth

    def look() -> None:
        seen.append((world.versions(), world.repairs.count))
        world.repairs.came(Change("told", 1, "{}"))
        world.now += 13

    world = clocked(monkeypatch, World(table, nothing, change_in_silence, nothing, look, nothing))
    world.reader.run()
    assert seen == [({"kept": 1, "changed": 2, "told": 1}, 0)]
    assert world.repairs.count == 2
    told = [line for line in lines() if line["event"] == "repaired"]
    assert [(line["id"], line["version"], line["repairs"]) for line in told] == [
        ("changed", 2, 1),
        ("gone", 6, 1),
    ]
    directive = {
        "Namespace": "statecast",
        "Dimensions": [["table"]],
        "Metrics": [{"Name": "repairs", "Unit": "Count"}],
    }
    assert told[0]["_aws"]["CloudWatchMetrics"] == [directive]
    assert (len(table.calls), world.reader.mode, world.reader.polled) == (2, "push", 0)
    assert set(world.waits) == {0.5}


def test_while_push_is_late_the_table_is_polled_each_second_and_once_more_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    table = Table(image("a", 1), image("b", 1))
    modes: list[Any] = []

    def cut() -> None:
        world.push.late = True
        world.repairs.suspect([Change("suspected", 1, "{}")])

    def change() -> None:
        modes.append((world.reader.mode, world.versions()))
        table.items = [image("a", 2), image("c", 1), image("statecast:watermark:1", 9)]

    def look() -> None:
        modes.append((world.reader.mode, world.versions()))

    def back() -> None:
        look()
        table.items = [image("a", 3), image("c", 1)]
        world.push.late = False

    world = clocked(monkeypatch, World(table, cut, change, nothing, look, nothing, back, look))
    world.reader.run()
    assert modes == [
        ("poll", {"a": 1, "b": 1}),
        ("poll", {"a": 2, "c": 1}),
        ("poll", {"a": 2, "c": 1}),
        ("push", {"a": 3, "c": 1}),
    ]
    assert (world.reader.fallbacks, world.reader.polled, world.changes) == (1, 4, 3)
    # The first poll is at once, the next a second later, the last when push is back.
    assert world.waits[:6] == [0.5, 0, 0.5, 0.5, 0.5, 0.5]
    assert len(table.calls) == 4
    world.now += 99
    assert world.repairs.settle() == [], "push was late: no message was missed"

    told = lines()
    assert [line["event"] for line in told] == [
        "snapshot complete",
        "push is late",
        *["delivery"] * 3,
        "poll complete",
        "poll complete",
        "delivery",
        "poll complete",
        "push is back",
    ]
    put, _, delete = told[2:5]
    received_at, applied_at = put["receivedAt"], put["appliedAt"]
    assert applied_at >= received_at > 1_700_000_000_000
    assert put == {
        "_aws": {
            "Timestamp": applied_at,
            "CloudWatchMetrics": [
                {
                    "Namespace": "statecast",
                    "Dimensions": [["table", "forwarder"]],
                    "Metrics": [{"Name": "writeToApplied", "Unit": "Milliseconds"}],
                }
            ],
        },
        "event": "delivery",
        **WHO,
        "message": None,
        "forwarder": "poll",
        "outcome": "applied",
        "change": "put",
        "id": "a",
        "version": 2,
        "writtenAt": 1_700_000_000_000,
        "snsAt": None,
        "sqsSentAt": None,
        "sqsFirstReceivedAt": None,
        "receivedAt": received_at,
        "appliedAt": applied_at,
        "receives": None,
        "writeToApplied": applied_at - 1_700_000_000_000,
        "forwardTimeTaken": None,
        "snsTimeTaken": None,
        "sqsTimeTaken": None,
        "applyTimeTaken": None,
    }
    assert "_aws" not in delete
    assert (delete["change"], delete["id"], delete["version"]) == ("delete", "b", 2)
    assert (delete["writtenAt"], delete["writeToApplied"]) == (None, None)


def test_a_table_that_takes_long_is_polled_a_fifth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(image("a", 1))
    world = clocked(monkeypatch, World(table, *[nothing] * 40, variants=("poll",), slot_queue_urls=()))
    world.push.late = True
    began: list[float] = []

    def take_long() -> None:
        began.append(world.now)
        world.now += 2

    table.before = take_long
    world.reader.run()
    assert began == [0, 10, 20]


def test_a_poll_that_failed_at_first_does_not_put_off_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.failures.random.uniform", lambda low, high: 4)
    table = Table(image("a", 1))
    world = clocked(monkeypatch, World(table, *[nothing] * 40, variants=("poll",), slot_queue_urls=()))
    world.push.late = True
    table.answers = [{"Items": []}, THROTTLED, THROTTLED]
    tried: list[float] = []
    table.before = lambda: tried.append(world.now)
    world.reader.run()
    assert tried[:6] == [0, 1, 5, 9, 9, 10], "it took 8 s, of which the table took none"


def test_a_reader_without_forwarders_polls_from_the_first_and_counts_no_fallback(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    table = Table(image("a", 1))
    world = clocked(monkeypatch, World(table, *[nothing] * 4, variants=("poll",), slot_queue_urls=()))
    world.push.late = True
    world.reader.run()
    assert (world.reader.mode, world.reader.fallbacks, world.reader.polled) == ("poll", 0, 0)
    assert len(table.calls) == 3
    assert {call["TotalSegments"] for call in table.calls[1:]} == {1}, "a small table costs least in one part"
    assert [line["event"] for line in lines()] == ["snapshot complete"]


def test_nor_does_one_that_boto3_tried_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(image("a", 1))
    world = clocked(monkeypatch, World(table, *[nothing] * 40, variants=("poll",), slot_queue_urls=()))
    world.push.late = True
    again = {"Items": [], "ResponseMetadata": {"RetryAttempts": 2}}
    table.answers = [{"Items": []}, again, {"Items": []}]
    tried: list[float] = []

    def take() -> None:
        tried.append(world.now)
        if len(tried) == 2:
            world.now += 3

    table.before = take
    world.reader.run()
    assert tried[:4] == [0, 1, 4, 5]
