from typing import Any

import pytest
from rich.console import Console

from bench.faults.checker import Sample, Struck
from bench.faults.injection import MALFORMED
from bench.faults.result import Observation, Result, conclude
from bench.faults.schedule import MALFORMED_MESSAGES
from bench.fleet import Lease
from bench.report.faults import page, show, timeline
from tests.bench.synthetic import START, delivery, polled, write

WRITES = [write(0), write(1)]
HELD = {"a": 2}
STRUCK = Struck(MALFORMED_MESSAGES, START + 200, START + 250, note="50 messages")


def found(**changes: Any) -> Result:
    """What a run amounts to in which all went well, unless it is changed."""
    leases = [Lease("00", "task/0", START - 500, True, "push", 1, "d", {})]
    looks = range(-250, 10_000, 250)
    seen: dict[str, Any] = {
        "environment": {"seed": 7},
        "first": START,
        "struck": [STRUCK],
        "writes": WRITES,
        "samples": [Sample(START - 500, 1, []), *(Sample(START + at, 1, leases) for at in looks)],
        "started": {"task/0": START - 1250},
        "deliveries": [delivery(one) for one in WRITES],
        "table": HELD,
        "tasks": {"task/0": HELD},
        "scans": [],
        "pushed": True,
        "converged": True,
        "dead_letters": {"00": MALFORMED},
    }
    return conclude(Observation(**{**seen, **changes}))


def test_a_run_in_which_all_went_well_has_no_problem() -> None:
    told = found().summary()
    assert told["problems"] == []
    assert (told["writes"], told["lost"], told["stale"], told["resurrected"]) == (2, 0, 0, 0)
    assert told["start_to_ready_ms"]["p50"] == 1000
    assert told["faults"][0]["recovery_ms"] == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"writes": [], "deliveries": []}, "no write was acknowledged"),
        ({"tasks": {}}, "no task is live at the end"),
        ({"tasks": {"task/0": {}}}, "2 acknowledged writes are not accounted for"),
        ({"pushed": False}, "tasks still polled when the time was up"),
        ({"converged": False}, "the digests of tasks and table are not all equal"),
        ({"deliveries": [delivery(WRITES[1])]}, None),
        ({"deliveries": []}, "1 periods behind that no fault explains"),
        (
            {"dead_letters": {"00": 50, "01": 49}},
            "dead-letter queues without all malformed messages: of slots 01",
        ),
        (
            {"struck": [Struck("task killed", START, START, problem="no such task")]},
            "task killed: no such task",
        ),
    ],
)
def test_what_went_wrong_is_named(changes: dict[str, Any], problem: str | None) -> None:
    assert found(**changes).problems == ([problem] if problem else [])


def test_a_fault_explains_what_it_caused() -> None:
    late = {"deliveries": [delivery(one, after=9000) for one in WRITES]}
    cut = Struck("ReceiveMessage cut", START, START + 5000)
    assert found(**late).problems == ["1 periods behind that no fault explains"]
    told = found(**late, struck=[cut]).summary()
    assert told["problems"] == []
    assert [(period["ms"], period["explained"]) for period in told["behind"]] == [(9745, True)]


def test_each_lost_write_is_printed_by_key_version_and_task() -> None:
    console = Console(record=True, width=200)
    show(found(tasks={"task/0": {"a": 1}}), console)
    printed = console.export_text()
    assert "stale a version 2 at task task/0, which holds 1" in printed
    assert "2 writes acknowledged, 1 tasks at the end: 0 lost, 1 stale, 0 resurrected" in printed
    assert "problem 1 acknowledged writes are not accounted for" in printed


def test_a_period_that_no_fault_explains_is_printed_and_the_others_are_counted() -> None:
    late = {"deliveries": [delivery(one, after=9000) for one in WRITES]}
    console = Console(record=True, width=200)
    show(found(**late), console)
    assert "behind for 9.7 s from 0.0 s on: task task/0" in console.export_text()
    show(found(**late, struck=[Struck("ReceiveMessage cut", START, START + 5000)]), console)
    printed = console.export_text()
    assert "behind for 9.7 s" not in printed
    assert "behind for more than 2 s: 1 times, 0 unexplained, for 9.7 s at worst" in printed


def test_the_page_tells_the_verdict_each_fault_and_what_is_not_accounted_for() -> None:
    told = page(found(tasks={"task/0": {"a": 1}}))
    assert "2 writes acknowledged, 1 tasks at the end: 0 lost, 1 stale, 0 resurrected." in told
    assert "Problem: 1 acknowledged writes are not accounted for." in told
    assert "<td>malformed messages</td><td>0.2</td><td>0.2</td><td>0.0</td><td>50 messages</td>" in told
    assert "<td>stale</td><td>a version 2</td><td>0</td><td>1</td>" in told
    assert "Not accounted for" not in page(found())


def test_a_task_that_was_ready_before_anyone_looked_tells_nothing_of_how_long_it_took() -> None:
    ready = [Lease("00", "task/0", START - 500, True, "push", 1, "d", {})]
    told = found(samples=[Sample(START + at, 1, ready) for at in range(-250, 10_000, 250)])
    assert told.start_to_ready.count == 0


def test_a_write_is_drawn_where_its_last_task_first_heard_of_it() -> None:
    tasks = ("task/0", "task/1")
    leases = [Lease(f"0{at}", task, START - 500, True, "push", 1, "d", {}) for at, task in enumerate(tasks)]
    arrived = [
        *(delivery(WRITES[0], task, "pipe", 700, "duplicate") for task in tasks),
        delivery(WRITES[0], tasks[0], after=100),
        polled(WRITES[0], tasks[1], after=300),
    ]
    samples = [Sample(START + at, 2, leases) for at in range(-250, 10_000, 250)]
    late = Lease("02", "task/2", START + 5000, True, "push", 1, "d", {})
    samples += [Sample(START + at, 3, [*leases, late]) for at in range(10_000, 12_000, 250)]
    arrived.append(delivery(WRITES[0], "task/2", after=10_500))  # its snapshot told it
    drawn = timeline(found(samples=samples, deliveries=arrived, tasks=dict.fromkeys(tasks, HELD)))
    [writes] = [trace for trace in drawn.data if trace.type == "scatter"]
    assert (writes.name, list(writes.x), list(writes.y)) == ("last by poll", [0.0], [300])
