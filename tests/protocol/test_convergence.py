"""The product's protocol: whatever happens, every task ends with the table, and none ever goes back.

`PROTOCOL_SEED=N PROTOCOL_HISTORIES=1` runs the history of one seed again, and tells it if it diverges.
"""

import os
import time
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.digest import digest_of
from tests.protocol.histories import KEYS, MOST_TASKS, PRODUCT, WAITS_MS, History, divergence
from tests.protocol.small import SMALL
from tests.protocol.task import Task
from tests.protocol.world import Conditions, World

SEED = int(os.environ["PROTOCOL_SEED"])
HISTORIES = int(os.environ["PROTOCOL_HISTORIES"])


def test_random_histories_converge(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.process_time()
    found = {seed: error for seed in range(SEED, SEED + HISTORIES) if (error := divergence(seed))}
    seconds = time.process_time() - began
    speed = f"{seconds:.1f} s of CPU, {HISTORIES / seconds:.0f}/s"
    with capsys.disabled():
        print(f"\n{HISTORIES} histories from PROTOCOL_SEED={SEED}: {len(found)} diverged ({speed})")  # noqa: T201
    assert not found, "\n".join([f"{seed}: {error}" for seed, error in found.items()] + told(min(found)))


@pytest.mark.parametrize("history", SMALL)
def test_histories_that_diverged_once_converge(history: str) -> None:
    SMALL[history](PRODUCT)


def told(seed: int) -> list[str]:
    history = History(seed)
    with pytest.raises(AssertionError):
        history.run()
    return [f"The history of {seed}, {history.world.conditions}:", *history.events]


class AnyHistory(RuleBasedStateMachine):
    """The same events, chosen and shrunk by Hypothesis."""

    world: World

    @initialize(
        random=st.randoms(use_true_random=False),
        slots=st.integers(1, 2),
        delayed=st.sampled_from((0, 0.5)),
        repeated=st.sampled_from((0, 0.2)),
        lost=st.sampled_from((0, 0, 0, 0.5)),
    )
    def begin(self, random: Random, slots: int, **shares: Any) -> None:
        self.world = World(random, Conditions(slots=slots, **shares))
        self.world.run(self.world.start())

    def task(self, number: int) -> Task:
        return self.world.tasks[number % len(self.world.tasks)]

    @rule(key=st.sampled_from(KEYS), large=st.booleans())
    def write(self, key: str, large: bool) -> None:
        self.world.write(key, large)

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: str) -> None:
        self.world.delete(key)

    @precondition(lambda self: self.world.behind())
    @rule(number=st.integers(0, 1), again=st.booleans(), records=st.integers(1, 4))
    def forward(self, number: int, again: bool, records: int) -> None:
        behind = self.world.behind()
        forwarder = behind[number % len(behind)]
        for _ in range(records):
            if forwarder in self.world.behind():
                self.world.forward(forwarder, again)

    @precondition(lambda self: self.world.in_flight)
    @rule(number=st.integers(0, 99))
    def deliver(self, number: int) -> None:
        self.world.deliver(number % len(self.world.in_flight))

    @precondition(lambda self: len(self.world.tasks) < MOST_TASKS)
    @rule()
    def start(self) -> None:
        self.world.start()

    @precondition(lambda self: self.world.tasks)
    @rule(
        number=st.integers(0, MOST_TASKS), stuck=st.sampled_from((None, "lease", "inbox", "scan", "rescan"))
    )
    def run_task(self, number: int, stuck: str | None) -> None:
        if not (task := self.task(number)).paused:
            self.world.run(task, stuck)

    @precondition(lambda self: self.world.tasks)
    @rule(number=st.integers(0, MOST_TASKS), thread=st.sampled_from(("lease", "inbox", "scan", "late scan")))
    def step(self, number: int, thread: str) -> None:
        if not (task := self.task(number)).paused:
            self.world.step(task, thread)

    @precondition(lambda self: self.world.tasks)
    @rule(
        number=st.integers(0, MOST_TASKS), how=st.sampled_from(("crash", "stop", "pause", "resume", "rescan"))
    )
    def disturb(self, number: int, how: str) -> None:
        task = self.task(number)
        if how == "crash":
            self.world.crash(task)
        elif how == "rescan":
            if task.ready:
                task.rescan()
        elif how == "stop":
            task.stopping = True
        else:
            task.paused = how == "pause"

    @rule(milliseconds=st.sampled_from(tuple(WAITS_MS)))
    def wait(self, milliseconds: int) -> None:
        self.world.wait(milliseconds)

    @invariant()
    def each_digest_is_that_of_its_items(self) -> None:
        for task in self.world.tasks:
            replica = task.replica
            assert replica.digest == digest_of((key, version) for key, version, _ in replica.items())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.check()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
