"""Writes and deliveries of a run that never took place."""

from collections.abc import Sequence
from dataclasses import replace

from bench.cost.variants import Costs
from bench.deliveries import Delivery
from bench.invocations import Invocation
from bench.result import Observation, Result, conclude
from bench.statistics import Distribution
from bench.workload import Kind
from bench.writer import Write

START = 1_700_000_000_123


def write(number: int, item_id: str = "a", version: int | None = None, kind: Kind = "update") -> Write:
    """Write n, made n seconds after the start; without a version it has its number + 1."""
    at = START + 1000 * number
    version = number + 1 if version is None else version
    trace = None if kind == "delete" else f"00-{number + 1:032x}-{number + 1:016x}-01"
    return Write(number, kind, item_id, version, None, at, at, at + 5, trace)


def delivery(
    of: Write, task: str = "task/0", forwarder: str = "lambda", after: int = 100, outcome: str = "applied"
) -> Delivery:
    """A delivery that was applied `after` milliseconds after the write."""
    applied = of.written_at + after
    return Delivery(
        task=task,
        slot="00",
        message="m",
        forwarder=forwarder,
        outcome=outcome,
        change="delete" if of.kind == "delete" else "put",
        id=of.id,
        version=of.version or 0,
        sns_at=applied - 70,
        sqs_sent_at=applied - 50,
        sqs_first_received_at=applied - 10,
        received_at=applied - 9,
        applied_at=applied,
        receives=1,
    )


def polled(of: Write, task: str = "task/0", after: int = 100, version: int | None = None) -> Delivery:
    """The same, found by a poll; a delete may have another version than the one that was made."""
    return replace(
        delivery(of, task, "poll", after),
        message=None,
        version=of.version or 0 if version is None else version,
        **dict.fromkeys(("sns_at", "sqs_sent_at", "sqs_first_received_at", "receives")),
    )


def result(
    writes: list[Write],
    deliveries: list[Delivery],
    *,
    tasks: int = 1,
    converged: bool = True,
    cloud: str = "aws",
    aws_only: tuple[str, ...] = (),
    warm_up: Sequence[Write] = (),
    costs: Costs | None = None,
    invocations: Sequence[Invocation] = (),
) -> Result:
    """The result of a run in both variants."""
    names = [f"task/{number}" for number in range(tasks)]
    environment = {"cloud": cloud, "started": "2026-01-01T00-00-00Z", "versions": {"boto3": "1"}}
    return conclude(
        Observation(
            environment=environment,
            preset=None,
            interval_s=1.0,
            burst=None,
            variants=["lambda", "pipe"],
            tasks=names,
            tasks_at_end=names,
            warm_up=list(warm_up),
            writes=writes,
            deliveries=deliveries,
            converged=converged,
            aws_only=list(aws_only),
            entry="table",
            appsync=Distribution(0),
            invocations=list(invocations),
        ),
        costs,
    )
