"""The whole system in memory, around the product's own decisions, on a virtual clock.

    writers → Table + stream ─┬─ forwarder lambda ─┐
                              └─ forwarder pipe ───┴→ topic (`in_flight`) → Queue of slot 00 → Task
                                                                         → Queue of slot 01 → …

What is the product's: `Replica` (versions, tombstones, doubts, scans), `decode` and `from_item`, `Lease`,
`read_leases` and `candidates`. What is the model's: the AWS around them, and the order of one task's
calls (`Task`), which is that of `consumer.task`, `consumer.inbox` and `consumer.reader`.

A task is a few generators, one per thread. Each `yield` stands where a call is under way or a thread may be
switched: anything else in the world may happen there, a crash or a pause too.
"""

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from types import CodeType
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from consumer import lease as lease_module
from consumer.digest import digest_of
from consumer.lease import Lease, SlotLease, candidates, read_leases, slot_names
from consumer.message import Change, Delivery, compact, decode, from_item
from consumer.replica import CLOCK_MARGIN_MS, Replica, Scan

Image = dict[str, dict[str, str]]
Steps = Generator[None]

TABLE = "states"
SOURCE = f"arn:aws:dynamodb:eu-south-1:000000000000:table/{TABLE}/stream/2026"
START_MS = 1_800_000_000_000

# The program's defaults.
RETENTION_SECONDS = 600
VISIBILITY_SECONDS = 30
LONG_POLL_SECONDS = 20
LEASE_SECONDS = 45
RENEWAL_SECONDS = LEASE_SECONDS / 3
MAX_RECEIVES = 5
GRACE_MS = (LONG_POLL_SECONDS + VISIBILITY_SECONDS) * 1000
# By then a slot whose task is gone can be had, whatever the clocks.
EXPIRY_MS = LEASE_SECONDS * 1000 + GRACE_MS + 2 * CLOCK_MARGIN_MS
TOMBSTONE_MS = RETENTION_SECONDS * 1000 + CLOCK_MARGIN_MS

# Threads that read the table; the late ones are of a tenure, or a scan, that is over.
SCANS = {"scan", "rescan", "late scan", "late rescan"}


class DivergenceError(AssertionError):
    """An invariant does not hold, or a replica is not the table."""


class Conditions(NamedTuple):
    """What the world does to the system. Shares are of messages, skew is at most so many milliseconds."""

    slots: int = 2
    forwarders: tuple[str, ...] = ("lambda", "pipe")
    delayed: float = 0.3
    """… stay on their way from the topic to a queue until `deliver`."""
    repeated: float = 0.1
    """… are delivered or received twice."""
    lost: float = 0.0
    """… never reach a queue. Only a scan that begins later can tell."""
    failing: float = 0.05
    """… of the consistent reads fail."""
    skew_ms: int = CLOCK_MARGIN_MS - 1


class Table:
    """The items by the item rule of docs/message.md, and the stream of their changes."""

    def __init__(self) -> None:
        self.items: dict[str, Image] = {}
        self.stream: list[dict[str, Any]] = []
        self.past: dict[str, list[Image | None]] = {}

    def version(self, key: str, now: int) -> int:
        """SET version = if_not_exists(version, :now_ms) + :one"""
        old = self.items.get(key)
        return (int(old["version"]["N"]) if old else now) + 1

    def write(self, key: str, now: int, large: bool) -> None:
        image = {
            "id": {"S": key},
            "version": {"N": str(self.version(key, now))},
            "writtenAt": {"N": str(now)},
            "value": {"N": str(len(self.stream))},
        }
        old = self.items.get(key)
        self.items[key] = image
        self._emit(key, "MODIFY" if old else "INSERT", {"NewImage": image}, now, large)

    def delete(self, key: str, now: int) -> None:
        if old := self.items.pop(key, None):
            self._emit(key, "REMOVE", {"OldImage": old}, now, large=False)

    def get(self, key: str) -> Image | None:
        """A consistent GetItem."""
        return self.items.get(key)

    def page(self, after: str, size: int) -> tuple[list[Image], str | None]:
        """One page of a consistent Scan, in the order of the keys, and where the next one begins."""
        keys = sorted(key for key in self.items if key > after)
        last = keys[size - 1] if len(keys) > size else None
        return [self.items[key] for key in keys[:size]], last

    def _emit(self, key: str, event: str, images: dict[str, Image], now: int, large: bool) -> None:
        self.past.setdefault(key, [None]).append(self.items.get(key))
        if large:
            images = {
                name: {k: v for k, v in image.items() if k != "value"} for name, image in images.items()
            }
        record = {
            "eventID": str(len(self.stream)),
            "eventName": event,
            "eventSourceARN": SOURCE,
            "dynamodb": {"Keys": {"id": {"S": key}}, "ApproximateCreationDateTime": now // 1000, **images},
        }
        self.stream.append(record | {"pointer": True} if large else record)


def key_of(record: Mapping[str, Any]) -> str:
    return record["dynamodb"]["Keys"]["id"]["S"]


def envelope(record: Mapping[str, Any], forwarder: str, now: int) -> str:
    """What SNS makes of a record that it took from a forwarder."""
    taken = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds")
    attributes = {"forwarder": {"Type": "String", "Value": "lambda"}} if forwarder == "lambda" else {}
    return json.dumps({"Message": json.dumps(record), "Timestamp": taken, "MessageAttributes": attributes})


class Message:
    """A message in a queue, about one key. Its receipt is the count of its receives."""

    __slots__ = ("body", "key", "receives", "sent_at", "visible_at")

    def __init__(self, key: str, body: str, sent_at: int) -> None:
        self.key = key
        self.body = body
        self.sent_at = sent_at
        self.visible_at = sent_at
        self.receives = 0


class Queue:
    """A slot's queue: no order, visibility timeouts, redelivery, a retention and a last receive."""

    def __init__(self, random: Random) -> None:
        self.messages: list[Message] = []
        self._random = random

    def send(self, key: str, body: str, now: int) -> None:
        self.messages.append(Message(key, body, now))

    def expire(self, now: int) -> bool:
        """Drop what was kept, or received, for too long; whether there was any."""
        oldest = now - RETENTION_SECONDS * 1000
        kept = [
            message
            for message in self.messages
            if message.sent_at > oldest and (message.receives < MAX_RECEIVES or message.visible_at > now)
        ]
        dropped = len(kept) < len(self.messages)
        self.messages = kept
        return dropped

    def visible(self, now: int) -> list[Message]:
        return [message for message in self.messages if message.visible_at <= now]

    def receive(self, now: int, repeated: float) -> list[tuple[Message, int]]:
        """Some of the visible messages, in any order, with their receipts."""
        visible = self.visible(now)
        if not visible:
            return []
        received: list[tuple[Message, int]] = []
        for message in self._random.sample(visible, self._random.randint(1, min(len(visible), 10))):
            message.receives += 1
            received.append((message, message.receives))
            if self._random.random() >= repeated:
                message.visible_at = now + VISIBILITY_SECONDS * 1000
        return received

    def delete(self, received: Sequence[tuple[Message, int]]) -> None:
        """An old receipt deletes a message that was received again, or does not: SQS promises neither."""
        for message, receipt in received:
            current = message.receives == receipt or self._random.random() < 0.5
            if current and message in self.messages:
                self.messages.remove(message)


class LeasesClient:
    """The two DynamoDB calls of a lease, with conditions and updates as it writes them."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def batch_get_item(self, **call: Any) -> dict[str, Any]:
        ((name, request),) = call["RequestItems"].items()
        slots = [key["slot"]["S"] for key in request["Keys"]]
        return {
            "Responses": {name: [dict(self.items[slot]) for slot in slots if slot in self.items]},
            "UnprocessedKeys": {},
        }

    def update_item(self, **call: Any) -> None:
        slot, names = call["Key"]["slot"]["S"], call["ExpressionAttributeNames"]
        values = call["ExpressionAttributeValues"]
        item = self.items.get(slot, {})
        if not eval(_condition(call["ConditionExpression"]), {"item": item, "values": values}):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        assigned, _, removed = call["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
        assignments = dict(assignment.split(" = ") for assignment in assigned.split(", "))
        item = call["Key"] | item | {names[name]: values[value] for name, value in assignments.items()}
        for name in filter(None, removed.split(", ")):
            item.pop(name, None)
        self.items[slot] = item


@lru_cache
def _condition(expression: str) -> CodeType:
    """A condition expression as Python: equality, absence, AND, OR and brackets."""
    python = re.sub(r"attribute_not_exists\((\w+)\)", r"('\1' not in item)", expression)
    python = re.sub(r"(?<!:)\b(\w+) = (:\w+)", r"(item.get('\1') == values['\2'])", python)
    return compile(python.replace(" AND ", " and ").replace(" OR ", " or "), expression, "eval")


@lru_cache(maxsize=256)
def _decoded(body: str) -> Delivery:
    clocks = dict.fromkeys(("SentTimestamp", "ApproximateFirstReceiveTimestamp"), "0")
    delivery = decode(
        {"MessageId": "", "Body": body, "Attributes": clocks | {"ApproximateReceiveCount": "1"}}, TABLE
    )
    assert isinstance(delivery, Delivery), delivery
    return delivery


@contextmanager
def time_of_day(now_ms: Callable[[], int]) -> Iterator[None]:
    """A lease reads the time of day by itself; each task has its own."""
    true, lease_module.now_ms = lease_module.now_ms, now_ms
    try:
        yield
    finally:
        lease_module.now_ms = true


class Tenure:
    """A slot while a task holds it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.received: list[tuple[Message, int]] = []
        self.in_hand = False
        self.closed = False
        self.ready = False


class Task:
    """One task. `threads` are its generators: `lease` and, with a slot, `inbox`, `scan`, `rescan`."""

    replica_class: type[Replica] = Replica
    grace_ms = GRACE_MS

    def __init__(self, world: "World", name: str) -> None:
        self.name = name
        self.world = world
        self.paused = False
        self.stopping = False
        self.tenure: Tenure | None = None
        self.ended = False
        self._skew = world.random.randint(-world.conditions.skew_ms, world.conditions.skew_ms)
        self._booted = world.random.randint(0, 10_000)
        self.replica = self.replica_class(RETENTION_SECONDS, self.steady)
        self._due = 0.0
        self._highest: dict[str, int] = {}
        self.threads: dict[str, Steps] = {"lease": self.hold_slots()}

    def now_ms(self) -> int:
        """The time of day, as this task sees it."""
        return self.world.now + self._skew

    def steady(self) -> float:
        return self.world.now / 1000 + self._booted

    def step(self, thread: str) -> None:
        """Let a thread go on to its next `yield`, if it has not ended."""
        if steps := self.threads.get(thread):
            try:
                next(steps)
            except StopIteration:
                self.threads.pop(thread, None)

    @property
    def ready(self) -> bool:
        return self.tenure is not None and self.tenure.ready

    def idle(self) -> bool:
        """Whether it has nothing to do until something else happens."""
        tenure = self.tenure
        if tenure is None:
            return self.ended or self.steady() < self._due
        return (
            tenure.ready
            and not tenure.closed
            and not tenure.received
            and not tenure.in_hand
            and not self.threads.keys() & SCANS
            and not self.world.queue(tenure.lease.slot).visible(self.world.now)
        )

    def hold_slots(self) -> Steps:
        """`Task.run`: take a slot, hold it, give it back, take another when it is lost."""
        while not self.stopping:
            lease = yield from self.take_slot()
            if lease is not None:
                yield  # The answer is on its way: the deadline may be past when it arrives.
                yield from self.hold(lease)
        self.ended = True

    def take_slot(self) -> Generator[None, None, Lease | None]:
        while self.steady() < self._due:
            yield
        found = read_leases(self.world.leases, "leases", self.world.slots)
        yield
        self.world.random.shuffle(found)
        for seen in candidates(found, self.now_ms(), self.grace_ms):
            lease = Lease(self.world.leases, "leases", seen.slot, seconds=LEASE_SECONDS, clock=self.steady)
            if self.acquire(lease, seen):
                self.world.check_holder(self, lease)
                return lease
        self._due = self.steady() + RENEWAL_SECONDS
        return None

    def acquire(self, lease: Lease, seen: SlotLease) -> bool:
        with time_of_day(self.now_ms):
            return lease.acquire(seen, self.name)

    def renew(self, lease: Lease) -> None:
        self._due = self.steady() + RENEWAL_SECONDS
        with time_of_day(self.now_ms):
            lease.renew({})

    def hold(self, lease: Lease) -> Steps:
        self.tenure = tenure = Tenure(lease)
        self.begin(tenure)
        while lease.held() and not self.stopping:
            if self.steady() >= self._due:
                self.renew(lease)
            yield
        tenure.closed = True
        while tenure.in_hand:
            yield
        self.tenure = None
        self.threads.pop("inbox", None)
        for scan in ("scan", "rescan"):
            if steps := self.threads.pop(scan, None):
                self.threads[f"late {scan}"] = steps
        with time_of_day(self.now_ms):
            lease.release()

    def begin(self, tenure: Tenure) -> None:
        """List, then watch: the queue is there already, so the two go on at once."""
        self.replica.change_queue()
        self.threads["scan"] = self.scan(tenure, self.replica.begin_scan())
        self.threads["inbox"] = self.inbox(tenure)

    def rescan(self) -> None:
        """Poll fallback or anti-entropy: the same scan, later. It replaces one that has not ended."""
        assert self.tenure
        if earlier := self.threads.get("rescan"):
            self.threads["late rescan"] = earlier
        self.threads["rescan"] = self.scan(self.tenure, self.replica.begin_scan())

    def inbox(self, tenure: Tenure) -> Steps:
        """`Inbox.run` and `handle`: receive, apply, and only then delete."""
        world, lease = self.world, tenure.lease
        queue = world.queue(lease.slot)
        while self.may_go_on(tenure):
            yield  # About to receive: a pause here is a receive after the lease.
            received = tenure.received = queue.receive(world.now, world.conditions.repeated)
            yield  # The answer is on its way.
            tenure.received = []
            if not received or not self.may_handle(tenure):
                continue
            tenure.in_hand = True
            done: list[tuple[Message, int]] = []
            for message, receipt in received:
                if (yield from self.handle(self.decode(message))):
                    done.append((message, receipt))
            yield  # Applied, not yet deleted.
            if self.may_delete(tenure):
                yield  # The delete is on its way, and nothing fences it.
                queue.delete(done)
            tenure.in_hand = False

    def may_go_on(self, tenure: Tenure) -> bool:
        return not tenure.closed and tenure.lease.held()

    def may_handle(self, tenure: Tenure) -> bool:
        return self.may_go_on(tenure)

    def may_delete(self, tenure: Tenure) -> bool:
        return tenure.lease.held()

    def decode(self, message: Message) -> Delivery:
        return _decoded(message.body)._replace(receives=message.receives, sqs_sent_at=message.sent_at)

    def handle(self, delivery: Delivery) -> Generator[None, None, bool]:
        """`Inbox._apply`: apply, in doubt what a consistent read gives. False: not done with the message."""
        change = delivery.change
        outcome = self.replica.judge(change)
        doubtful = delivery.pointer or self.doubts(delivery)
        if outcome != "applied" or not doubtful:
            self.apply(change)
            return True
        if self.world.random.random() < self.world.conditions.failing:
            return False  # The read failed: the message stays in the queue.
        image = self.confirm(change.id)
        yield  # The answer is on its way.
        if image is not None and (current := from_item(image)):
            self.apply(current)
        return True

    def doubts(self, delivery: Delivery) -> bool:
        return self.replica.doubts(delivery.change, delivery.made_at)

    def confirm(self, key: str) -> Image | None:
        return self.world.table.get(key)

    def scan(self, tenure: Tenure, scan: Scan) -> Steps:
        """`Reader`: page after page. The tenure may end while one is under way."""
        after: str | None = ""
        while not tenure.closed:
            yield
            images, after = self.page(after or "")
            yield  # The page is on its way.
            self.take_page(scan, images)
            if after is None:
                self.replica.end_scan(scan, self.now_ms())
                tenure.ready = True
                return

    def page(self, after: str) -> tuple[list[Image], str | None]:
        return self.world.table.page(after, self.world.random.randint(1, 2))

    def take_page(self, scan: Scan, images: list[Image]) -> None:
        changes = [change for image in images if (change := from_item(image))]
        for change in self.replica.page(scan, changes):
            self._rose(change)

    def apply(self, change: Change) -> None:
        if self.replica.apply(change) == "applied":
            self._rose(change)

    def _rose(self, change: Change) -> None:
        """What a task holds never goes down, nor comes back, even after its tombstone has expired."""
        before = self._highest.get(change.id, 0)
        if change.item is not None and change.version <= before:
            raise DivergenceError(
                f"{self.name} took {change.id}@{change.version - START_MS} after {before - START_MS}"
            )
        self._highest[change.id] = max(change.version, before)


class World:
    """The system and everything that can happen to it: each public method is one event."""

    def __init__(
        self,
        random: Random,
        conditions: Conditions,
        task_class: type[Task] = Task,
        table_class: type[Table] = Table,
    ) -> None:
        self.random = random
        self.conditions = conditions
        self.now = START_MS
        self.table = table_class()
        self.leases: Any = LeasesClient()
        self.slots = slot_names(conditions.slots)
        self.in_flight: list[tuple[str, str, str]] = []
        self.forwarded = dict.fromkeys(conditions.forwarders, 0)
        self.missing = False
        self.tasks: list[Task] = []
        self._task_class = task_class
        self._queues = {slot: Queue(random) for slot in self.slots}
        self._started = 0

    def queue(self, slot: str) -> Queue:
        return self._queues[slot]

    # What writers do, to one key not more often than each millisecond: that is what a version is made of.

    def write(self, key: str, large: bool = False) -> None:
        self.now += 1
        self.table.write(key, self.now, large)

    def delete(self, key: str) -> None:
        self.now += 1
        self.table.delete(key, self.now)

    # What carries the changes.

    def forward(self, forwarder: str, again: bool = False) -> None:
        """Publish the next record; `again`: the answer is lost, and it will be published once more."""
        self._publish(self.table.stream[self.forwarded[forwarder]], forwarder)
        if not again:
            self.forwarded[forwarder] += 1

    def deliver(self, number: int) -> None:
        """One of the messages that are on their way arrives, sent now as SQS sees it."""
        slot, key, body = self.in_flight.pop(number)
        self._queues[slot].send(key, body, self.now)

    def behind(self) -> list[str]:
        """The forwarders that have records before them."""
        return [name for name, done in self.forwarded.items() if done < len(self.table.stream)]

    def _publish(self, record: Mapping[str, Any], forwarder: str) -> None:
        key, body = key_of(record), envelope(record, forwarder, self.now)
        chance, conditions = self.random.random, self.conditions
        for slot, queue in self._queues.items():
            if chance() < conditions.lost:
                self.missing = True
            elif chance() < conditions.delayed:
                self.in_flight.append((slot, key, body))
            else:
                queue.send(key, body, self.now)
                if chance() < conditions.repeated:
                    queue.send(key, body, self.now)

    # What happens to tasks.

    def start(self) -> Task:
        self._started += 1
        task = self._task_class(self, f"task {self._started}")
        self.tasks.append(task)
        return task

    def crash(self, task: Task) -> None:
        """kill -9: what it had in hand becomes visible again in time, its lease expires."""
        self.tasks.remove(task)

    def step(self, task: Task, thread: str) -> None:
        self.now += 1 + int(self.random.random() * 30)
        task.step(thread)
        if task.ended and task in self.tasks:
            self.tasks.remove(task)

    def run(self, task: Task, stuck: str | None = None) -> None:
        """The task does all that it can, but for a thread that is stuck, while nothing else happens."""
        for _ in range(12 if stuck else 40):
            threads = [thread for thread in task.threads if thread != stuck]
            first = int(self.random.random() * len(threads))
            for thread in threads[first:] + threads[:first]:
                self.step(task, thread)
            if task.idle():
                self.check_caught_up(task)
                return

    def check_holder(self, newcomer: Task, lease: Lease) -> None:
        for task in self.tasks:
            tenure = task.tenure
            if task is not newcomer and tenure and tenure.lease.slot == lease.slot and tenure.lease.held():
                raise DivergenceError(f"slot {lease.slot} is held by {task.name} and {newcomer.name}")

    def check_caught_up(self, task: Task) -> None:
        """Where a task has handled all that there was of a key, it holds what the table holds."""
        tenure = task.tenure
        if self.missing or tenure is None or not tenure.lease.held():
            return
        slot = tenure.lease.slot
        under_way = {message.key for message in self._queues[slot].messages}
        under_way |= {key for to, key, _ in self.in_flight if to == slot}
        under_way |= {key_of(record) for record in self.table.stream[max(self.forwarded.values()) :]}
        held = {key: version for key, version, _ in task.replica.items()}
        for key in self.table.past.keys() - under_way:
            image = self.table.items.get(key)
            expected = int(image["version"]["N"]) if image else None
            if held.get(key) != expected:
                raise DivergenceError(
                    f"{task.name} holds {key}@{_since(held.get(key))}, the table {key}@{_since(expected)}"
                )

    # Time.

    def wait(self, milliseconds: int) -> None:
        """Time passes. Tasks that are not paused renew their leases as it does."""
        end = self.now + milliseconds
        while self.now < end:
            self.now = min(end, self.now + LEASE_SECONDS * 500)
            for task in self.tasks:
                if task.tenure and not task.paused:
                    task.renew(task.tenure.lease)
            self._expire()

    def _expire(self) -> None:
        leased = {task.tenure.lease.slot for task in self.tasks if task.tenure}
        for slot, queue in self._queues.items():
            if queue.expire(self.now) and slot in leased:
                self.missing = True

    # The end.

    def settle(self) -> None:
        """No more events: everything is delivered and handled; after losses, each task rescans."""
        for task in self.tasks:
            task.paused = False
        if all(task.stopping for task in self.tasks):
            self.start()
        for forwarder in self.forwarded:
            while self.forwarded[forwarder] < len(self.table.stream):
                self.forward(forwarder)
        while self.in_flight:
            self.deliver(0)
        self._settle_tasks()
        if self.missing:
            for task in self.tasks:
                if task.tenure:
                    task.rescan()
            self._settle_tasks()

    def _settle_tasks(self) -> None:
        for _ in range(1_000):
            for task in list(self.tasks):
                for thread in list(task.threads):
                    self.step(task, thread)
            held = [task.tenure.lease.slot for task in self.tasks if task.tenure]
            waiting = [message.visible_at for slot in held for message in self.queue(slot).messages]
            if held and not waiting and all(task.idle() for task in self.tasks if task.tenure):
                return
            # For a message to be visible again, or for a lease to expire.
            self.wait(max(1, min(waiting) - self.now) if waiting else 1 if held else 1_000)
        raise DivergenceError("the tasks do not settle")

    def check(self) -> None:
        """Every task that holds a slot holds the table: ids, versions, items and digest."""
        items = self.table.items
        expected = {key: (int(image["version"]["N"]), compact(image)) for key, image in items.items()}
        digest = digest_of((key, version) for key, (version, _) in expected.items())
        for task in self.tasks:
            if task.tenure:
                held = {key: (version, item) for key, version, item in task.replica.items()}
                if held != expected:
                    raise DivergenceError(f"{task.name} holds {_told(held)}, the table {_told(expected)}")
                if task.replica.digest != digest or len(task.replica) != len(expected):
                    raise DivergenceError(f"{task.name}: the digest is not that of its items")


def _told(items: Mapping[str, tuple[int, str]]) -> str:
    return ", ".join(f"{key}@{_since(version)}" for key, (version, _) in sorted(items.items())) or "nothing"


def _since(version: int | None) -> int | None:
    return version and version - START_MS
