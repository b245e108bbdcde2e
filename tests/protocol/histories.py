"""Random histories of the model: each is wholly made by its seed."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from consumer.replica import CLOCK_MARGIN_MS
from tests.protocol.cloud import VISIBILITY_SECONDS, Table
from tests.protocol.task import LEASE_SECONDS, SCANS, DivergenceError, Task
from tests.protocol.world import EXPIRY_MS, TOMBSTONE_MS, Conditions, World

KEYS = ("a", "b", "c", "d")
MOST_TASKS = 3
# How long a wait is, and how often: until one more thing has passed.
WAITS_MS = {
    200: 8,
    CLOCK_MARGIN_MS: 4,
    VISIBILITY_SECONDS * 1000: 4,
    LEASE_SECONDS * 1000 - CLOCK_MARGIN_MS: 2,
    EXPIRY_MS: 5,
    TOMBSTONE_MS + 1000: 3,
}


class System(NamedTuple):
    """What is under test: the product, or a mutant."""

    task: type[Task] = Task
    table: type[Table] = Table


PRODUCT = System()


def divergence(seed: int, system: System = PRODUCT) -> DivergenceError | None:
    """What went wrong in the history of a seed, if anything did."""
    try:
        History(seed, system).run()
    except DivergenceError as found:
        return found
    return None


class History:
    """One history: `run` plays it and raises `DivergenceError`; `events` tells what happened, for people."""

    def __init__(self, seed: int, system: System = PRODUCT) -> None:
        random = self._random = Random(seed)
        lossy = random.random() < 0.2
        conditions = Conditions(
            slots=random.choice((1, 2, 2)),
            forwarders=random.choice((("lambda",), ("lambda", "pipe"))),
            delayed=random.choice((0, 0.1, 0.5)),
            repeated=random.choice((0, 0.2)),
            lost=random.choice((0.1, 0.5, 1)) if lossy else 0,
        )
        self.world = World(random, conditions, system.task, system.table)
        self.events: list[str] = []
        self._keys = KEYS[: random.randint(1, len(KEYS))]
        # How often a forwarder takes its turn: one may lag far behind the other.
        self._paces = {name: random.choice((1, 4, 12)) for name in conditions.forwarders}
        self._length = random.randint(30, 70)

    def run(self) -> None:
        random, world = self._random, self.world
        for _ in range(world.conditions.slots + random.randint(0, 1)):
            self._start()
        for _ in range(random.randint(0, 4)):
            self._run()
        weights = self._weights()
        for event in random.choices(list(weights), list(weights.values()), k=self._length):
            event()
        if random.random() < 0.5:
            self._tell("wait", EXPIRY_MS)
            world.wait(EXPIRY_MS)
        world.settle()
        world.check()

    def _weights(self) -> dict[Callable[[], None], float]:
        weights: dict[Callable[[], None], float] = {
            self._write: 14,
            self._delete: 9,
            self._flicker: 5,
            self._forward: 20,
            self._deliver: 8,
            self._run: 24,
            self._step: 12,
            self._hand_over: 5,
            self._start: 3,
            self._crash: 2,
            self._stop: 2,
            self._pause: 2,
            self._resume: 3,
            self._rescan: 3,
            self._wait: 6,
        }
        # Each history has a bent of its own: an event is frequent in one and never happens in another.
        for event in (
            self._deliver,
            self._step,
            self._hand_over,
            self._crash,
            self._stop,
            self._pause,
            self._rescan,
            self._wait,
        ):
            weights[event] *= self._random.choice((0, 0.3, 1, 3))
        return weights

    # What writers do.

    def _write(self) -> None:
        key = self._random.choice(self._keys)
        large = self._random.random() < 0.1
        self._tell("write", key, "large" if large else "")
        self.world.write(key, large)

    def _delete(self) -> None:
        if self.world.table.items:
            key = self._random.choice(list(self.world.table.items))
            self._tell("delete", key)
            self.world.delete(key)

    def _flicker(self) -> None:
        """A key that does not live long, and is soon on its way to every queue."""
        key = self._random.choice(self._keys)
        self._tell("write and delete", key)
        self.world.write(key)
        self.world.delete(key)
        forwarder = self._random.choice(list(self._paces))
        self._tell(forwarder, "forwards all that it has not yet")
        while forwarder in self.world.behind():
            self.world.forward(forwarder)

    # What carries the changes.

    def _forward(self) -> None:
        behind = self.world.behind()
        if behind:
            forwarder = self._random.choices(behind, [self._paces[name] for name in behind])[0]
            for _ in range(self._random.randint(1, 4)):
                if forwarder in self.world.behind():
                    again = self._random.random() < 0.1
                    record = self.world.forwarded[forwarder]
                    self._tell(forwarder, "forwards record", record, "but will again" if again else "")
                    self.world.forward(forwarder, again)

    def _deliver(self) -> None:
        if self.world.in_flight:
            number = self._random.randrange(len(self.world.in_flight))
            self._tell("message", number, "of those on their way arrives")
            self.world.deliver(number)

    # What tasks do, and what is done to them.

    def _run(self) -> None:
        if task := self._any(lambda task: not task.paused):
            self._run_as_it_happens(task)

    def _run_one(self, task: Task, stuck: str | None = None) -> None:
        self._tell(task.name, f"runs, but for its {stuck}" if stuck else "runs")
        self.world.run(task, stuck)

    def _run_as_it_happens(self, task: Task) -> None:
        stuck = None
        if self._random.random() < 0.5:
            scans = [thread for thread in task.threads if thread in SCANS]
            stuck = self._random.choice(scans or list(task.threads))
        self._run_one(task, stuck)

    def _run_all(self) -> None:
        for task in self._random.sample(self.world.tasks, len(self.world.tasks)):
            if not task.paused:
                self._run_as_it_happens(task)

    def _step(self) -> None:
        if task := self._any(lambda task: not task.paused):
            self._go_on(task, self._random.choice(list(task.threads)), self._random.randint(1, 4))

    def _go_on(self, task: Task, thread: str, steps: int) -> None:
        for _ in range(steps):
            self._tell(task.name, thread)
            self.world.step(task, thread)

    def _hand_over(self) -> None:
        """A task stops, dies or is paused in the middle of something; another takes what it leaves."""
        random = self._random
        task = self._any(lambda task: task.tenure is not None and not task.paused)
        if task is None:
            return
        if random.random() < 0.3 and task.ready:
            self._tell(task.name, "begins a rescan")
            task.rescan()
        if random.random() < 0.5:
            self._flicker()
        for _ in range(random.randint(0, 15)):
            self._go_on(task, random.choice(("inbox", "scan", "rescan")), 1)
        random.choice((self._stop_now, self._crash_and_wait, self._pause_and_wait))(task)
        if random.random() < 0.7:
            self._start()
        self._run_all()
        if task.paused:
            for _ in range(random.randint(0, 4)):
                random.choice((self._write, self._delete, self._forward, self._forward, self._run_all))()
            self._tell(task.name, "resumes")
            task.paused = False
            self._run_one(task, random.choice((None, *task.threads)))
            self._run_all()

    def _stop_now(self, task: Task) -> None:
        self._tell(task.name, "is told to stop")
        task.stopping = True
        self._run_as_it_happens(task)

    def _crash_and_wait(self, task: Task) -> None:
        self._tell(task.name, "crashes; wait", EXPIRY_MS)
        self.world.crash(task)
        self.world.wait(EXPIRY_MS)

    def _pause_and_wait(self, task: Task) -> None:
        task.paused = True
        milliseconds = self._random.choice((LEASE_SECONDS * 1000 - CLOCK_MARGIN_MS, EXPIRY_MS, EXPIRY_MS))
        self._tell(task.name, "pauses; wait", milliseconds)
        self.world.wait(milliseconds)

    def _start(self) -> None:
        if len(self.world.tasks) < MOST_TASKS:
            self._tell(self.world.start().name, "starts")

    def _crash(self) -> None:
        if task := self._any():
            self._tell(task.name, "crashes")
            self.world.crash(task)

    def _stop(self) -> None:
        if task := self._any():
            self._tell(task.name, "is told to stop")
            task.stopping = True

    def _pause(self) -> None:
        if task := self._any(lambda task: not task.paused):
            self._tell(task.name, "pauses")
            task.paused = True

    def _resume(self) -> None:
        if task := self._any(lambda task: task.paused):
            self._tell(task.name, "resumes")
            task.paused = False

    def _rescan(self) -> None:
        """A task begins a rescan, and more happens before it ends."""
        if task := self._any(lambda task: task.ready and not task.paused):
            self._tell(task.name, "begins a rescan")
            task.rescan()
            for _ in range(self._random.randint(0, 8)):
                self._go_on(task, self._random.choice(("rescan", "late rescan")), self._random.randint(0, 1))
                self._random.choice((self._write, self._delete, self._forward, self._forward))()
                self._run_one(task, "rescan")

    def _wait(self) -> None:
        milliseconds = self._random.choices(list(WAITS_MS), list(WAITS_MS.values()))[0]
        self._tell("wait", milliseconds)
        self.world.wait(milliseconds)

    def _any(self, which: Callable[[Task], bool] = lambda task: True) -> Task | None:
        tasks = [task for task in self.world.tasks if which(task)]
        return self._random.choice(tasks) if tasks else None

    def _tell(self, *words: object) -> None:
        self.events.append(" ".join(str(word) for word in words if word != ""))
