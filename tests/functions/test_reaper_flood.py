"""What the reaper does, minute by minute, when a job writes many items that no task can apply."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest

from consumer.inbox import POISON_SHOWN, REFUSALS_SHOWN
from tests.functions.reaper import decision, letters

NOW = 1_800_000_000_000
SECOND, MINUTE = 1_000, 60_000
# The settings of the AWS stacks.
VISIBILITY, RECEIVES, RETENTION, RENEWAL = 30 * SECOND, 5, 10 * MINUTE, 10 * SECOND
# What a run has the time for.
ROUNDS = 20


@dataclass
class SimulatedTask:
    """A task and its slot. It refuses messages until they are dead letters, and tells so at each renewal."""

    name: str
    random: Random
    leased_at: int = NOW - 60 * MINUTE
    due: list[tuple[int, int, int]] = field(default_factory=list)
    refusing: dict[int, int] = field(default_factory=dict)
    poison: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=POISON_SHOWN))
    dying: deque[tuple[int, int]] = field(default_factory=deque)
    dead: list[int] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)

    def send(self, sent_at: int) -> None:
        heappush(self.due, (sent_at + 100 + int(self.random.expovariate(1 / 500)), 1, sent_at))

    def run(self, until: int) -> None:
        """Go on refusing. A message is named by when it was sent."""
        renewed_at = until - self.random.randrange(RENEWAL)
        self._receive(renewed_at)
        self.item = {
            "slot": self.name,
            "lease": "token",
            "task": f"task {self.name}",
            "leasedAt": self.leased_at,
            "expiresAt": until + MINUTE,
            "poison": [told(sent) for at, sent in self.poison if renewed_at - at < RETENTION],
            "refusing": [told(sent) for sent, at in self.refusing.items() if renewed_at - at < 2 * RETENTION],
        }
        self._receive(until)
        while self.dying and self.dying[0][0] <= until:
            self.dead.append(self.dying.popleft()[1])

    def _receive(self, until: int) -> None:
        while self.due and self.due[0][0] <= until:
            at, receives, sent_at = heappop(self.due)
            self.refusing.pop(sent_at, None)
            self.refusing[sent_at] = at
            if len(self.refusing) > REFUSALS_SHOWN:
                del self.refusing[next(iter(self.refusing))]
            if receives == RECEIVES:
                self.poison.append((at, sent_at))
                self.dying.append((at + VISIBILITY, sent_at))
            else:
                late = int(self.random.expovariate(1 / 700))
                heappush(self.due, (at + VISIBILITY + late, receives + 1, sent_at))


def told(sent_at: int) -> dict[str, Any]:
    return {"message": "", "id": None, "version": None, "published": str(sent_at), "sentAt": sent_at}


@dataclass
class SimulatedFleet:
    """Tasks, and the reaper of their dead letters."""

    tasks: list[SimulatedTask]
    random: Random
    memory: Any = field(default_factory=decision.Memory)
    stopped: dict[str, int] = field(default_factory=dict)
    poison_found: bool = False

    def reap(self, now: int) -> None:
        for task in self.tasks:
            task.run(now)
        for _ in range(ROUNDS):
            seen = {task.name: self.random.sample(task.dead, min(10, len(task.dead))) for task in self.tasks}
            slots = [
                decision.Slot(
                    task.name,
                    letters.lease_of(task.item),
                    tuple(decision.Letter(f"message {sent_at}", sent_at) for sent_at in seen[task.name]),
                )
                for task in self.tasks
            ]
            made = decision.decide(slots, self.memory, now)
            self.memory = made.memory
            self.poison_found |= bool(made.poison)
            for name in made.stop:
                self.stopped.setdefault(name, (now - NOW) // MINUTE)
            for task in self.tasks:
                if task.name in made.archive:
                    task.dead = [sent_at for sent_at in task.dead if sent_at not in seen[task.name]]
            if not any(len(seen[name]) == 10 for name in made.archive):
                return


def flooded(tasks: int, messages: int, seconds: int, seed: int = 1) -> SimulatedFleet:
    random = Random(seed)
    fleet = SimulatedFleet([SimulatedTask(f"{number:02}", random) for number in range(tasks)], random)
    for number in range(messages):
        for task in fleet.tasks:
            task.send(NOW + number * seconds * SECOND // messages)
    return fleet


@pytest.mark.parametrize(
    ("messages", "seconds"),
    [
        (20, 10),
        (REFUSALS_SHOWN, 10),
        (REFUSALS_SHOWN + 1, 60),
        (100, 10),
        (100, 120),
        (1_000, 30),
        (1_000, 120),
        (2_000, 120),
        # One each ten seconds: at no time many, but more than leases tell of.
        (180, 1_800),
    ],
)
def test_however_many_messages_are_poison_nobody_is_stopped_and_all_are_archived(
    messages: int, seconds: int
) -> None:
    fleet = flooded(20, messages, seconds)
    for minute in range(1, 61):
        fleet.reap(NOW + minute * MINUTE)
    assert fleet.stopped == {}
    assert fleet.poison_found
    assert {task.name: len(task.dead) for task in fleet.tasks if task.dead} == {}


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_a_small_fleet_is_left_alone_too(tasks: int) -> None:
    fleet = flooded(tasks, 200, 60)
    for minute in range(1, 61):
        fleet.reap(NOW + minute * MINUTE)
    assert fleet.stopped == {}
    assert not any(task.dead for task in fleet.tasks)


@pytest.mark.parametrize("messages", [0, 1, 20, 1_000])
def test_a_task_that_is_sick_beside_poison_is_stopped_at_the_latest_when_that_is_forgotten(
    messages: int,
) -> None:
    fleet = flooded(20, messages, 60)
    sick = fleet.tasks[7]
    # A change each half a minute, of which it applies none.
    for second in range(0, 60 * 60, 30):
        sick.send(NOW + second * SECOND + 1)
    for minute in range(1, 61):
        fleet.reap(NOW + minute * MINUTE)
        if sick.item["task"] in fleet.stopped:
            break
    assert fleet.stopped.keys() == {sick.item["task"]}
    # A message is poison in 2.5 minutes, and reports of refusals fade in 20.
    assert fleet.stopped[sick.item["task"]] <= (27 if messages else 3)


def test_what_a_lease_tells_at_most_is_the_same_to_task_and_reaper() -> None:
    assert letters.REFUSALS_TOLD == REFUSALS_SHOWN
