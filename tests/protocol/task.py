"""A task: the product's decisions, in the order of calls of `consumer.task`, `.inbox` and `.reader`.

It is a few generators, one per thread. Each `yield` stands where a call is under way or a thread may be
switched: anything else in the world may happen there, a crash or a pause too.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from consumer import lease as lease_module
from consumer.lease import Lease, SlotLease, candidates, read_leases
from consumer.message import Change, Delivery, decode, from_item
from consumer.replica import Replica, Scan
from tests.protocol.cloud import RETENTION_SECONDS, START_MS, TABLE, VISIBILITY_SECONDS, Image, Message

if TYPE_CHECKING:
    from tests.protocol.world import World

Steps = Generator[None]

# The program's defaults.
LONG_POLL_SECONDS = 20
LEASE_SECONDS = 45
RENEWAL_SECONDS = LEASE_SECONDS / 3
GRACE_MS = (LONG_POLL_SECONDS + VISIBILITY_SECONDS) * 1000

# Threads that read the table; the late ones are of a tenure, or a scan, that is over.
SCANS = {"scan", "rescan", "late scan", "late rescan"}


class DivergenceError(AssertionError):
    """An invariant does not hold, or a replica is not the table."""


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
