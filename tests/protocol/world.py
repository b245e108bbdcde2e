"""The whole system in memory, around the product's own decisions, on a virtual clock.

    writers → Table + stream ─┬─ forwarder lambda ─┐
                              └─ forwarder pipe ───┴→ topic (`in_flight`) → Queue of slot 00 → Task
                                                                         → Queue of slot 01 → …

What is the product's: `Replica` (versions, tombstones, doubts, scans), `decode` and `from_item`, `Lease`,
`read_leases` and `candidates`. What is the model's: the AWS around them (`cloud`), and the order of one
task's calls (`task`).
"""

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from consumer.digest import digest_of
from consumer.lease import Lease, slot_names
from consumer.message import compact
from consumer.replica import CLOCK_MARGIN_MS
from tests.protocol.cloud import (
    RETENTION_SECONDS,
    START_MS,
    LeasesClient,
    Queue,
    Table,
    envelope,
    key_of,
)
from tests.protocol.task import GRACE_MS, LEASE_SECONDS, DivergenceError, Task

# By then a slot whose task is gone can be had, whatever the clocks.
EXPIRY_MS = LEASE_SECONDS * 1000 + GRACE_MS + 2 * CLOCK_MARGIN_MS
TOMBSTONE_MS = RETENTION_SECONDS * 1000 + CLOCK_MARGIN_MS


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
