"""Histories that diverged once, as small as they get: each raises `DivergenceError` without its rule."""

from collections.abc import Callable
from random import Random
from typing import Any

from consumer.replica import CLOCK_MARGIN_MS
from tests.protocol.histories import System
from tests.protocol.task import Task
from tests.protocol.world import EXPIRY_MS, TOMBSTONE_MS, Conditions, World


def a_put_reaches_the_queue_long_after_its_removal(system: System) -> None:
    """The former lessee took the REMOVE; the put came by the topic after the newcomer's scan."""
    world = calm(system)
    former = started(world)
    world.write("a")
    publish(world, delayed=True)
    world.delete("a")
    publish(world)
    world.run(former)
    stop(world, former)
    started(world)
    world.wait(CLOCK_MARGIN_MS + 1)
    world.deliver(0)
    end(world)


def a_forwarder_is_later_than_a_tombstone_lasts(system: System) -> None:
    """One forwarder is down while the other carries a put, its REMOVE and, much later, another REMOVE."""
    world = calm(system, forwarders=("lambda", "pipe"))
    task = started(world)
    world.wait(2 * CLOCK_MARGIN_MS)
    for key in ("a", "b"):
        world.write(key)
        world.delete(key)
        publish(world)
        publish(world)
        world.run(task)
        world.wait(TOMBSTONE_MS)
    publish(world, "pipe")
    world.run(task)
    end(world)


def a_task_changes_its_slot_and_finds_a_leftover_of_what_it_holds(system: System) -> None:
    """It was paused while the item was changed and removed; the new slot's queue still has the change."""
    world = calm(system, slots=2)
    survivor, other = started(world), started(world)
    world.write("a")
    publish(world)
    world.run(survivor)
    world.run(other)
    survivor.paused = True
    world.write("a")
    publish(world, delayed=True)
    world.delete("a")
    publish(world)
    world.run(other)
    world.wait(EXPIRY_MS)
    while world.in_flight:
        world.deliver(0)
    stop(world, other)
    survivor.paused = False
    until(world, survivor, "scan")
    for _ in range(10):
        world.step(survivor, "inbox")
    end(world)


def a_page_outlives_its_tenure(system: System) -> None:
    """A task was paused with a page in hand; its item was removed before the task took a slot again."""
    world = calm(system)
    world.write("a")
    publish(world)
    paused = world.start()
    until(world, paused, "scan")
    for _ in range(2):
        world.step(paused, "scan")
    paused.paused = True
    world.wait(EXPIRY_MS)
    world.delete("a")
    publish(world)
    stop(world, started(world))
    paused.paused = False
    until(world, paused, "late scan")
    until(world, paused, "scan")
    world.step(paused, "late scan")
    end(world)


def a_page_is_in_hand_for_longer_than_a_tombstone_lasts(system: System) -> None:
    """The scan's thread stands still while the inbox goes on and the item is removed."""
    world = calm(system)
    task = started(world)
    world.write("a")
    publish(world)
    world.run(task)
    task.rescan()
    for _ in range(2):
        world.step(task, "rescan")
    world.delete("a")
    publish(world)
    world.run(task, "rescan")
    world.wait(TOMBSTONE_MS + 1)
    world.write("b")
    world.delete("b")
    publish(world)
    publish(world)
    world.run(task, "rescan")
    world.step(task, "rescan")
    end(world)


def a_lessee_receives_after_its_lease(system: System) -> None:
    """It was paused just before a receive, and what it then received was for the newcomer."""
    for steps in range(2):  # One of the two ends before a receive, the other after it.
        world = calm(system)
        paused = started(world)
        for _ in range(steps):
            world.step(paused, "inbox")
        paused.paused = True
        world.wait(EXPIRY_MS)
        started(world)
        world.write("a")
        publish(world)
        paused.paused = False
        for _ in range(10):
            world.step(paused, "inbox")
        end(world)


SMALL: dict[str, Callable[[System], None]] = {
    history.__name__: history
    for history in (
        a_put_reaches_the_queue_long_after_its_removal,
        a_forwarder_is_later_than_a_tombstone_lasts,
        a_task_changes_its_slot_and_finds_a_leftover_of_what_it_holds,
        a_page_outlives_its_tenure,
        a_page_is_in_hand_for_longer_than_a_tombstone_lasts,
        a_lessee_receives_after_its_lease,
    )
}


def calm(system: System, **conditions: Any) -> World:
    """A world in which nothing happens by chance."""
    still = {"slots": 1, "forwarders": ("lambda",), "delayed": 0, "repeated": 0, "failing": 0, "skew_ms": 0}
    return World(Random(0), Conditions(**(still | conditions)), system.task, system.table)


def started(world: World) -> Task:
    task = world.start()
    world.run(task)
    assert task.ready
    return task


def publish(world: World, forwarder: str = "lambda", delayed: bool = False) -> None:
    world.conditions = world.conditions._replace(delayed=1 if delayed else 0)
    world.forward(forwarder)


def stop(world: World, task: Task) -> None:
    task.stopping = True
    while task in world.tasks:
        world.step(task, "lease")


def until(world: World, task: Task, thread: str) -> None:
    """The task's main thread goes on until there is another."""
    while thread not in task.threads:
        world.step(task, "lease")


def end(world: World) -> None:
    world.settle()
    world.check()
