"""The task's life with one slot after the other, on a table and a queue that are kept in memory."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from consumer.clock import now_ms
from consumer.health import judge
from consumer.message import Change
from consumer.metadata import Metadata
from consumer.task import Task
from tests.container.messages import given, image, message
from tests.container.test_inbox import SETTINGS, watermark

PATIENCE_SECONDS = 30
UNKNOWN = Change("unknown", 1, "{}")
FAR_FUTURE = 10**15
POLLS = {"variants": ("poll",), "slot_queue_urls": ()}


class Aws:
    """Both clients. `order` tells what came after what; a gate that is not open holds its call back."""

    def __init__(self, *messages: Any) -> None:
        self.order: list[str] = []
        self.watermarks: list[int] = []
        self.scans = self.received = 0
        self.receive_gate, self.polled = Event(), Event()
        self.receive_gate.set()
        self.messages = list(messages)
        self.lost = False
        self.scanning, self.scan_gate = Event(), Event()
        self.reading, self.read_gate = Event(), Event()
        self.scan_gate.set()
        self.read_gate.set()

    def batch_get_item(self, **call: Any) -> Any:
        return {"Responses": {}, "UnprocessedKeys": {}}

    def update_item(self, **call: Any) -> Any:
        if "REMOVE lease" in call["UpdateExpression"]:
            self.order.append("release")
        elif "REMOVE freedAt" in call["UpdateExpression"]:
            self.order.append("acquire")
        elif "writtenAt = :now" in call["UpdateExpression"]:
            self.watermarks.append(int(call["ExpressionAttributeValues"][":now"]["N"]))
        elif self.lost:
            self.lost = False
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")

    def scan(self, **call: Any) -> Any:
        self.scans += 1
        self.scanning.set()
        assert self.scan_gate.wait(PATIENCE_SECONDS)
        return given({"Items": [image("held", 1)] if call["Segment"] == 0 else []})

    def get_item(self, **call: Any) -> Any:
        self.reading.set()
        assert self.read_gate.wait(PATIENCE_SECONDS)
        return {"Item": image("a", 1)}

    def receive_message(self, **call: Any) -> Any:
        self.received += 1
        assert self.receive_gate.wait(PATIENCE_SECONDS)
        if self.messages:
            return {"Messages": [self.messages.pop(0)]}
        self.polled.wait(PATIENCE_SECONDS)  # the long poll, which nobody waits for
        return {}

    def delete_message_batch(self, **call: Any) -> Any:
        self.order.append("delete")
        return {}


@pytest.fixture
def run() -> Any:
    started: list[tuple[Task, Aws, Thread]] = []

    def start(aws: Aws, **changes: Any) -> tuple[Task, Thread]:
        settings = replace(SETTINGS, **changes)
        task = Task(settings, Metadata("arn:task", None), cast(Any, aws), cast(Any, aws))
        thread = Thread(target=task.run, daemon=True)
        thread.start()
        started.append((task, aws, thread))
        return task, thread

    yield start
    for task, aws, thread in started:
        task.stop()
        aws.scan_gate.set()
        aws.read_gate.set()
        aws.polled.set()
        thread.join(PATIENCE_SECONDS)  # or it would print into other tests' output


Start = Callable[..., tuple[Task, Thread]]


def wait_until(look: Callable[[], Any]) -> None:
    pause = Event()
    for _ in range(PATIENCE_SECONDS * 100):
        if look():
            return
        pause.wait(0.01)
    pytest.fail("it did not come to pass")


def test_a_stop_finishes_the_batch_in_hand_before_it_releases_the_slot(run: Start) -> None:
    aws = Aws(message("INSERT", "a", 1, sent_at=FAR_FUTURE))
    aws.scan_gate.clear()  # so the put is doubted, and read
    aws.read_gate.clear()
    task, thread = run(aws)
    assert aws.reading.wait(PATIENCE_SECONDS)
    task.stop()
    thread.join(0.3)
    assert thread.is_alive()
    assert aws.order == ["acquire"]
    aws.read_gate.set()
    thread.join(PATIENCE_SECONDS)
    assert aws.order == ["acquire", "delete", "release"]


def test_after_a_lost_lease_another_slot_is_taken_and_its_queue_doubted_until_scanned(run: Start) -> None:
    aws = Aws()
    task, _ = run(aws, lease_seconds=3)
    wait_until(lambda: task.facts().snapshot_complete)
    assert not task.replica.doubts(UNKNOWN, FAR_FUTURE)
    aws.scanning.clear()
    aws.scan_gate.clear()
    aws.lost = True
    assert aws.scanning.wait(PATIENCE_SECONDS), "a fresh snapshot"
    assert aws.order == ["acquire", "release", "acquire"]
    assert task.replica.doubts(UNKNOWN, FAR_FUTURE)
    assert not task.facts().snapshot_complete
    assert len(task.replica) == 1, "what is known is kept meanwhile"
    aws.scan_gate.set()
    wait_until(lambda: task.facts().snapshot_complete)
    assert not task.replica.doubts(UNKNOWN, FAR_FUTURE)


def test_what_was_complete_once_is_held_after_the_lease_is_lost(run: Start) -> None:
    aws = Aws()
    aws.scan_gate.clear()
    task, _ = run(aws, lease_seconds=3)
    assert aws.scanning.wait(PATIENCE_SECONDS)
    assert task.facts().starting is not None
    aws.scan_gate.set()
    wait_until(lambda: task.facts().snapshot_complete)
    assert task.facts().starting is None

    def nobody(**call: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    aws.batch_get_item = nobody  # type: ignore[method-assign]
    aws.lost = True
    wait_until(lambda: task.tenure is None and task.facts().troubles)
    facts = task.facts()
    assert (facts.snapshot_complete, facts.starting) == (False, None)
    assert [trouble.answered for trouble in facts.troubles] == [False]


def readiness(aws: Aws) -> list[bool]:
    """What each renewal tells from now on."""
    reports: list[bool] = []
    write = aws.update_item

    def note(**call: Any) -> Any:
        if ready := call["ExpressionAttributeValues"].get(":ready"):
            reports.append(ready["BOOL"])
        return write(**call)

    aws.update_item = note  # type: ignore[method-assign]
    return reports


@pytest.mark.parametrize("last", ["snapshot", "watermark"])
def test_that_snapshot_and_watermark_are_there_is_reported_at_once(run: Start, last: str) -> None:
    aws = Aws()
    if last == "snapshot":
        aws.scan_gate.clear()
        aws.messages.append(watermark(1))
    else:
        aws.receive_gate.clear()
    reports = readiness(aws)
    task, _ = run(aws, lease_seconds=3_600)  # the next renewal is due in 20 minutes
    wait_until(lambda: task.facts().push_works if last == "snapshot" else task.facts().snapshot_complete)
    assert not any(reports)
    aws.scan_gate.set()
    aws.messages.append(watermark(2))
    aws.receive_gate.set()
    wait_until(lambda: any(reports))
    assert task.mode == "push"


def test_a_task_that_cannot_read_the_table_again_stays_ready_and_says_so(run: Start) -> None:
    aws = Aws()
    told: list[tuple[bool, bool]] = []
    write, scan = aws.update_item, aws.scan

    def note(**call: Any) -> Any:
        values = call["ExpressionAttributeValues"]
        if ":cannotRead" in values:
            told.append((values[":ready"]["BOOL"], values[":cannotRead"]["BOOL"]))
        return write(**call)

    def refuse(**call: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "Scan")

    aws.update_item = note  # type: ignore[method-assign]
    run(aws, lease_seconds=3, **POLLS)
    wait_until(lambda: (True, False) in told)
    aws.scan = refuse  # type: ignore[method-assign]
    wait_until(lambda: (True, True) in told)
    aws.scan = scan  # type: ignore[method-assign]
    wait_until(lambda: told[-1] == (True, False))


def test_with_its_tenure_end_the_loops_that_served_it(run: Start) -> None:
    aws = Aws()
    task, thread = run(aws)
    wait_until(lambda: task.facts().snapshot_complete)
    tenure = task.tenure
    assert tenure
    task.stop()
    thread.join(PATIENCE_SECONDS)
    assert tenure.inbox
    assert [of._closed.is_set() for of in (tenure.inbox, tenure.reader, tenure.watermark)] == [True] * 3


def test_a_newcomer_writes_a_watermark_once_its_scan_has_begun(run: Start) -> None:
    aws = Aws()
    aws.scan_gate.clear()
    run(aws)
    wait_until(lambda: aws.watermarks)


def test_a_task_that_polls_leases_a_number_and_neither_receives_nor_writes_watermarks(run: Start) -> None:
    aws = Aws()
    reports = readiness(aws)
    task, _ = run(aws, lease_seconds=3_600, **POLLS)
    wait_until(lambda: any(reports))
    state = task.state()
    assert state["slot"] in {"00", "01"}
    assert (state["mode"], state["items"], state["lag"], set(state["counts"])) == ("poll", 1, {}, {"poll"})
    wait_until(lambda: len(aws.order) and aws.scans > 2)
    assert (aws.received, aws.watermarks) == (0, [])
    assert judge(task.facts()) == ([], [])


@pytest.mark.parametrize(("changes", "taken"), [({}, False), (POLLS, True)])
def test_an_expired_slot_is_taken_at_once_where_no_queue_has_leftovers(
    run: Start, changes: dict[str, Any], taken: bool
) -> None:
    class Expired(Aws):
        def batch_get_item(self, **call: Any) -> Any:
            ended = {"lease": {"S": "another"}, "expiresAt": {"N": str(now_ms() - 1_000)}}
            return {
                "Responses": {"leases": [{"slot": {"S": slot}, **ended} for slot in ("00", "01")]},
                "UnprocessedKeys": {},
            }

    task, _ = run(Expired(), **changes)
    wait_until(lambda: task.tenure if taken else "2 expired" in (task.facts().waiting or ""))


def test_a_renewal_that_fails_is_tried_again_and_told(run: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.failures.random.uniform", lambda low, high: 0)
    aws = Aws()
    task, _ = run(aws, lease_seconds=3)
    wait_until(lambda: task.facts().snapshot_complete)
    failed: list[str] = []
    pauses: list[float] = []
    renew = task._renew

    def watched(tenure: Any) -> float:
        pauses.append(renew(tenure))
        return pauses[-1]

    monkeypatch.setattr(task, "_renew", watched)

    def fail(**call: Any) -> Any:
        trouble = [trouble.code for trouble in task.facts().troubles]
        failed.extend(trouble)
        if not trouble:
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "UpdateItem")

    aws.update_item = fail  # type: ignore[method-assign]
    wait_until(lambda: failed)
    assert failed[0] == "cannot-lease"
    assert 0 in pauses, "it is tried again when the failures say, not at the next renewal"
    wait_until(lambda: not task.facts().troubles)
    assert task.tenure
    assert task.tenure.lease.held()
