"""The inbox on a queue and a table that are kept in memory."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from consumer.inbox import Inbox
from consumer.lease import Lease
from consumer.message import Change
from consumer.repairs import Repairs
from consumer.replica import Replica
from consumer.settings import Settings
from consumer.watermark import Watermark
from tests.container.messages import TABLE, envelope, image, message, record, sqs

URL = "https://queue/1"
SETTINGS = Settings(
    variants=("lambda", "pipe"),
    table=TABLE,
    leases_table="leases",
    slots=2,
    slot_queue_urls=("https://queue/0", URL),
    long_poll_seconds=20,
    visibility_timeout_seconds=30,
    slot_retention_seconds=300,
    max_receives=5,
    lease_seconds=15,
    watermark_seconds=10,
    rescan_seconds=900,
    port=8080,
    metadata_uri="http://metadata",
    traces=False,
)
UNREACHABLE = EndpointConnectionError(endpoint_url="https://sqs")


class HeldLease:
    slot = "01"

    def __init__(self) -> None:
        self.is_held = True

    def held(self) -> bool:
        return self.is_held


class Queue:
    """What SQS would hand out, batch by batch; `deleted` are receipt handles."""

    def __init__(self, *batches: list[Any]) -> None:
        self.batches = list(batches)
        self.deleted: list[str] = []
        self.kept: set[str] = set()
        self.on_receive: Callable[[], None] = lambda: None
        self.receiving: Exception | None = None
        self.deleting: Exception | None = None

    def receive_message(self, **call: Any) -> Any:
        assert call["QueueUrl"] == URL
        assert (call["MaxNumberOfMessages"], call["WaitTimeSeconds"]) == (10, 20)
        if self.receiving:
            error, self.receiving = self.receiving, None
            raise error
        batch = self.batches.pop(0)
        self.on_receive()
        return {"Messages": batch} if batch else {}

    def delete_message_batch(self, **call: Any) -> Any:
        assert call["QueueUrl"] == URL
        if self.deleting:
            raise self.deleting
        by_id = {entry["Id"]: entry["ReceiptHandle"] for entry in call["Entries"]}
        assert len(by_id) == len(call["Entries"]) <= 10
        self.deleted += [handle for handle in by_id.values() if handle not in self.kept]
        failed = [name for name, handle in by_id.items() if handle in self.kept]
        return {"Failed": [{"Id": name, "Code": "InternalError", "SenderFault": False} for name in failed]}


class Table:
    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.error: Exception | None = None
        self.reads: list[str] = []

    def get_item(self, **call: Any) -> Any:
        assert call["TableName"] == TABLE
        assert call["ConsistentRead"] is True
        item_id = call["Key"]["id"]["S"]
        self.reads.append(item_id)
        if self.error:
            raise self.error
        return {"Item": self.items[item_id]} if item_id in self.items else {}


class World:
    def __init__(
        self,
        *held: Change,
        batches: tuple[list[Any], ...] = (),
        traces: Any = None,
        leased_at: int = 0,
    ) -> None:
        self.replica = Replica(300, lambda: 0.0)
        scan = self.replica.begin_scan()
        self.replica.page(scan, list(held))
        self.replica.end_scan(scan, 0)
        self.lease = HeldLease()
        self.queue = Queue(*batches)
        self.table = Table()
        self.watermark = Watermark(
            cast(Any, None), TABLE, SETTINGS.forwarders, period_seconds=10, arrived=lambda: None
        )
        self.clock = 0.0
        self.repairs = Repairs(14, lambda: self.clock)
        self.inbox = Inbox(
            SETTINGS,
            {"table": TABLE, "task": "arn:task", "slot": "01"},
            cast(Lease, self.lease),
            leased_at=leased_at,
            replica=self.replica,
            watermark=self.watermark,
            repairs=self.repairs,
            sqs=cast(Any, self.queue),
            dynamodb=cast(Any, self.table),
            traces=traces,
        )

    def versions(self) -> dict[str, int]:
        return {item_id: version for item_id, version, _ in self.replica.items()}


def handled(name: str, given: Any) -> Any:
    return {**given, "ReceiptHandle": name, "MessageId": f"message-{name}"}


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


MALFORMED = handled("malformed", sqs("not JSON"))


def test_a_batch_is_applied_then_logged_then_deleted(lines: Callable[[], Any]) -> None:
    world = World(Change("c", 3, "{}"))
    batch = [
        handled("1", message("INSERT", "a", 1)),
        handled("2", message("INSERT", "a", 1, None)),
        handled("3", message("INSERT", "b", 5)),
        handled("4", message("MODIFY", "b", 4)),
        handled("5", message("REMOVE", "c", 3)),
    ]
    world.inbox.handle(batch)
    assert world.versions() == {"a": 1, "b": 5}
    assert world.queue.deleted == ["1", "2", "3", "4", "5"]
    logged = lines()
    told = [
        (line["event"], line["message"], line["forwarder"], line["change"], line["outcome"])
        for line in logged
    ]
    assert told == [
        ("delivery", "message-1", "lambda", "put", "applied"),
        ("delivery", "message-2", "pipe", "put", "duplicate"),
        ("delivery", "message-3", "lambda", "put", "applied"),
        ("delivery", "message-4", "lambda", "put", "stale"),
        ("delivery", "message-5", "lambda", "delete", "applied"),
    ]
    assert world.inbox.counted == {
        ("lambda", "applied"): 3,
        ("pipe", "duplicate"): 1,
        ("lambda", "stale"): 1,
    }
    assert world.table.reads == []


def test_a_deliverys_line_is_in_embedded_metric_format_with_every_clock(lines: Callable[[], Any]) -> None:
    world = World()
    world.inbox.handle([message("INSERT", "a", 1, receives=2)])
    [line] = lines()
    received_at, applied_at = line["receivedAt"], line["appliedAt"]
    assert applied_at >= received_at > 1_700_000_000_200
    names = ["writeToApplied", "forwardTimeTaken", "snsTimeTaken", "sqsTimeTaken", "applyTimeTaken"]
    assert line == {
        "_aws": {
            "Timestamp": applied_at,
            "CloudWatchMetrics": [
                {
                    "Namespace": "statecast",
                    "Dimensions": [["table", "forwarder"]],
                    "Metrics": [{"Name": name, "Unit": "Milliseconds"} for name in names],
                }
            ],
        },
        "event": "delivery",
        "table": TABLE,
        "task": "arn:task",
        "slot": "01",
        "message": "5fea7756-0ea4-451a-a703-a558b933e274",
        "forwarder": "lambda",
        "outcome": "applied",
        "change": "put",
        "id": "a",
        "version": 1,
        "writtenAt": 1_700_000_000_000,
        "snsAt": 1_700_000_000_125,
        "sqsSentAt": 1_700_000_000_150,
        "sqsFirstReceivedAt": 1_700_000_000_200,
        "receivedAt": received_at,
        "appliedAt": applied_at,
        "receives": 2,
        "writeToApplied": applied_at - 1_700_000_000_000,
        "forwardTimeTaken": 125,
        "snsTimeTaken": 25,
        "sqsTimeTaken": 50,
        "applyTimeTaken": applied_at - 1_700_000_000_200,
    }


def test_what_was_sent_before_the_slot_was_leased_is_told_and_is_no_metric(lines: Callable[[], Any]) -> None:
    sent_at = 1_700_000_000_150
    World(leased_at=sent_at + 1).inbox.handle([message("INSERT", "a", 1)])
    World(leased_at=sent_at).inbox.handle([message("INSERT", "a", 1)])
    before, after = lines()
    assert before["sqsSentAt"] == sent_at
    assert before["writeToApplied"] > 0
    assert ("_aws" in before, "_aws" in after) == (False, True)


def test_a_deletes_line_names_no_metric_that_it_has_no_number_for(lines: Callable[[], Any]) -> None:
    World(Change("a", 1, "{}")).inbox.handle([message("REMOVE", "a", 1)])
    [line] = lines()
    assert line["version"] == 2
    metrics = [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert metrics == ["snsTimeTaken", "sqsTimeTaken", "applyTimeTaken"]
    assert (line["writtenAt"], line["writeToApplied"], line["forwardTimeTaken"]) == (None, None, None)


def test_a_time_that_clocks_make_negative_is_told_and_is_no_metric(lines: Callable[[], Any]) -> None:
    ahead = record("INSERT", "a", 1)
    ahead["dynamodb"]["NewImage"]["writtenAt"] = {"N": "9999999999999"}
    World().inbox.handle([sqs(json.dumps(envelope(json.dumps(ahead))))])
    [line] = lines()
    assert line["writeToApplied"] < 0
    assert line["forwardTimeTaken"] < 0
    metrics = [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert metrics == ["snsTimeTaken", "sqsTimeTaken", "applyTimeTaken"]


def test_a_malformed_message_stays_and_the_others_do_not(lines: Callable[[], Any]) -> None:
    world = World()
    world.inbox.handle([MALFORMED, handled("good", message("INSERT", "a", 1))])
    assert world.queue.deleted == ["good"]
    assert world.versions() == {"a": 1}
    refused, _ = lines()
    assert (refused["event"], refused["message"], refused["slot"]) == ("refused", "message-malformed", "01")
    assert refused["reason"].startswith("not a stream record in an SNS envelope")
    assert world.inbox.refused == 1
    assert world.inbox.poison() == [], "it may yet be received again"
    assert [of["message"] for of in world.inbox.refusing()] == ["message-malformed"]


def test_a_refused_message_on_its_last_receive_is_poison() -> None:
    given = record("INSERT", "a", 7)
    del given["dynamodb"]["NewImage"]["version"]
    world = World()
    world.inbox.handle([handled("1", sqs(json.dumps(envelope(json.dumps(given))), receives=5))])
    reason = "the item has no whole number 'version'"
    assert world.inbox.poison() == [
        {
            "message": "message-1",
            "id": "a",
            "version": None,
            "published": envelope("")["MessageId"],
            "sentAt": 1_700_000_000_150,
            "reason": reason,
        }
    ]
    assert world.queue.deleted == []


def test_a_batch_that_comes_past_the_leases_deadline_is_dropped(lines: Callable[[], Any]) -> None:
    world = World()
    world.lease.is_held = False
    world.inbox.handle([message("INSERT", "a", 1)])
    assert (world.versions(), world.queue.deleted, lines()) == ({}, [], [])


def test_nothing_is_deleted_when_the_deadline_passes_while_it_is_applied() -> None:
    world = World()
    world.replica.change_queue()
    world.table.items["a"] = image("a", 1)

    def lose(**call: Any) -> Any:
        world.lease.is_held = False
        return {"Item": image("a", 1)}

    world.table.get_item = lose  # type: ignore[method-assign]
    world.inbox.handle([message("INSERT", "a", 1)])
    assert world.versions() == {"a": 1}
    assert world.queue.deleted == []


def test_a_batch_that_comes_after_the_stop_is_dropped() -> None:
    world = World(batches=([message("INSERT", "a", 1)],))
    world.queue.on_receive = world.inbox.close
    world.inbox.run()
    assert (world.versions(), world.queue.deleted) == ({}, [])


def test_the_loop_ends_with_the_lease() -> None:
    world = World(batches=([message("INSERT", "a", 1)], []))

    def second() -> None:
        world.lease.is_held = bool(world.queue.batches)

    world.queue.on_receive = second
    world.inbox.run()
    assert world.versions() == {"a": 1}
    assert world.queue.batches == []


def test_the_loop_goes_on_after_a_receive_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.failures.random.uniform", lambda low, high: 0)
    world = World(batches=([message("INSERT", "a", 1)], []))
    world.queue.receiving = UNREACHABLE
    troubles: list[Any] = []

    def look() -> None:
        troubles.append(world.inbox.receiving.trouble())
        world.lease.is_held = bool(world.queue.batches)

    world.queue.on_receive = look
    world.inbox.run()
    assert world.versions() == {"a": 1}
    assert troubles[0].reason == str(UNREACHABLE)
    assert troubles[1] is None


def test_messages_that_sqs_did_not_delete_are_counted(lines: Callable[[], Any]) -> None:
    world = World()
    world.queue.kept = {"2"}
    world.inbox.handle([handled("1", message("INSERT", "a", 1)), handled("2", message("INSERT", "b", 1))])
    assert world.queue.deleted == ["1"]
    assert world.inbox.undeleted == 1
    assert (lines()[-1]["event"], world.versions()) == ("undeleted", {"a": 1, "b": 1})


def test_a_delete_that_fails_altogether_is_counted_and_not_fatal() -> None:
    world = World()
    world.queue.deleting = UNREACHABLE
    world.inbox.handle([message("INSERT", "a", 1)])
    assert world.inbox.undeleted == 1


POINTER = sqs(json.dumps(envelope(json.dumps(record("MODIFY", "a", 7, pointer=True)))))


def test_a_pointers_item_is_read_from_the_table() -> None:
    world = World(Change("a", 6, "{}"))
    world.table.items["a"] = image("a", 8, payload={"S": "x" * 300_000})
    world.inbox.handle([POINTER])
    [(_, version, item)] = world.replica.items()
    assert (version, json.loads(item)) == (8, world.table.items["a"])
    assert world.queue.deleted == ["handle"]


@pytest.mark.parametrize(("held", "outcome"), [(7, "duplicate"), (8, "stale")])
def test_a_pointer_to_what_is_held_already_is_not_read(held: int, outcome: str) -> None:
    world = World(Change("a", held, "{}"))
    world.inbox.handle([POINTER])
    assert (world.table.reads, dict(world.inbox.counted)) == ([], {("lambda", outcome): 1})


def test_a_pointer_to_an_item_that_is_gone_applies_nothing() -> None:
    world = World(Change("a", 6, "{}"))
    world.inbox.handle([POINTER])
    assert (world.versions(), dict(world.inbox.counted)) == ({"a": 6}, {("lambda", "stale"): 1})
    assert world.queue.deleted == ["handle"]


def test_a_leftover_put_of_a_deleted_item_is_not_brought_back() -> None:
    world = World()
    world.replica.change_queue()
    world.inbox.handle([message("INSERT", "a", 1)])
    assert (world.table.reads, world.versions(), world.queue.deleted) == (["a"], {}, ["handle"])


def test_a_put_that_was_long_on_its_way_is_doubted_by_when_it_was_made() -> None:
    world = World()
    world.replica.end_scan(world.replica.begin_scan(), 1_700_000_060_000)
    world.inbox.handle([message("INSERT", "a", 1, sent_at=1_700_000_120_000)])
    assert (world.table.reads, world.versions()) == (["a"], {})


def test_a_leftover_put_of_a_living_item_brings_the_items_present_state() -> None:
    world = World()
    world.replica.change_queue()
    world.table.items["a"] = image("a", 3)
    world.inbox.handle([message("INSERT", "a", 1)])
    assert world.versions() == {"a": 3}
    assert world.inbox.confirmed == 1


def test_reads_that_hang_one_after_the_other_leave_a_sign_of_life_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    now = world.inbox.active_at
    monkeypatch.setattr("consumer.inbox.steady", lambda: now)
    silent: list[float] = []

    def hang(**call: Any) -> Any:
        nonlocal now
        now += 39
        silent.append(now - world.inbox.active_at)
        return {"Failed": []}

    monkeypatch.setattr(world.table, "get_item", hang)
    monkeypatch.setattr(world.queue, "delete_message_batch", hang)
    world.replica.change_queue()
    world.inbox.handle([message("INSERT", key, 1) for key in "abc"])
    assert silent == [39] * 4


def test_a_message_whose_item_cannot_be_read_stays_and_the_others_do_not() -> None:
    world = World()
    scan = world.replica.begin_scan()
    world.replica.page(scan, [Change("b", 1, "{}")])
    world.replica.end_scan(scan, 10**15)
    world.table.error = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "GetItem")
    given = message("INSERT", "a", 1, receives=5)
    world.inbox.handle([handled("1", message("MODIFY", "b", 2)), handled("2", given)])
    assert world.queue.deleted == ["1"]
    trouble = world.inbox.applying.trouble()
    assert trouble
    assert not trouble.curable
    [poison] = world.inbox.poison()
    assert (poison["id"], poison["version"]) == ("a", 1)
    assert poison["reason"].startswith("the item could not be read: ")
    assert world.inbox.refusing() == [poison]
    world.table.error = None
    world.inbox.handle([handled("2", given)])
    assert world.inbox.refusing() == [], "in the end it was applied"


def test_what_is_refused_is_told_for_longer_than_it_can_be_anyones_poison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, now = World(), [0.0]
    monkeypatch.setattr("consumer.inbox.steady", lambda: now[0])
    world.inbox.handle([handled("1", sqs("{}", receives=5))])
    told = []
    for now[0] in (300.0, 301.0, 600.0, 601.0):
        told.append((len(world.inbox.poison()), len(world.inbox.refusing())))
    assert told == [(1, 1), (0, 1), (0, 1), (0, 0)]


def test_the_refusals_that_are_told_are_the_newest_each_once() -> None:
    world = World()
    for receives in (1, 2):
        for number in range(60):
            world.inbox.handle([handled(str(number), sqs("{}", receives=receives))])
    told = [of["message"] for of in world.inbox.refusing()]
    assert told == [f"message-{number}" for number in range(10, 60)]


def watermark(version: int, forwarder: str | None = "lambda", written_at: int = 10**15) -> Any:
    given = record("MODIFY", "statecast:watermark:3", version)
    given["dynamodb"]["NewImage"]["writtenAt"] = {"N": str(written_at)}
    return sqs(json.dumps(envelope(json.dumps(given), forwarder)))


def test_a_watermark_tells_of_its_forwarder_and_is_no_change(lines: Callable[[], Any]) -> None:
    world = World()
    world.replica.change_queue()
    world.inbox.handle(
        [handled("1", watermark(7)), handled("2", message("REMOVE", "statecast:watermark:3", 7))]
    )
    assert world.watermark.works()
    assert world.watermark.newest() > 1_700_000_000_000
    assert world.queue.deleted == ["1", "2"]
    assert (lines(), dict(world.inbox.counted), world.table.reads) == ([], {}, [])


def test_a_copy_that_comes_after_a_rescan_explains_what_it_brought(lines: Callable[[], Any]) -> None:
    world = World()
    world.replica.apply(Change("a", 7, "{}"))
    world.replica.apply(Change("b", 7, "{}"))
    world.repairs.suspect([Change("a", 7, "{}"), Change("b", 7, "{}")])
    world.inbox.handle([message("MODIFY", "a", 7)])
    world.clock = 99
    assert world.repairs.settle() == [("b", 7)]


def test_cannot_apply_lasts_until_a_change_is_applied_whatever_watermarks_come() -> None:
    world = World()
    world.replica.change_queue()
    world.table.error = UNREACHABLE
    world.inbox.handle([message("INSERT", "a", 1)])
    world.inbox.handle([watermark(1)])
    trouble = world.inbox.applying.trouble()
    assert trouble
    assert (trouble.code, trouble.curable) == ("cannot-apply", True)
    world.table.error = None
    world.inbox.handle([message("INSERT", "a", 1)])
    assert world.inbox.applying.trouble() is None
