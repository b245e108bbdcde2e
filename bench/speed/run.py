"""`bench speed`: what we wrote beside bare programs, in one run."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bench import environment
from bench.errors import ExperimentError
from bench.fleet import live_leases, wanted_tasks
from bench.report.terminal import progress_bars
from bench.result import RESULTS, folder_of
from bench.speed import forwarding, measures
from bench.speed.figure import Figure, table_of
from bench.speed.scratch import wait
from bench.speed.writing import writing
from bench.stack import Stack, find, refuse_other_variants


def speed(
    *,
    stack: Annotated[
        str, typer.Option(help="A local stack that is up, with as many tasks as to measure.")
    ] = "local",
) -> None:
    """Measure our own parts as ratios to bare programs; a target that is missed is no failure."""
    console, found, start = Console(), find(stack), datetime.now(UTC)
    if found.endpoint is None:
        raise ExperimentError(
            f"stack {stack!r} is on AWS: this measures processes here, beside a local stack"
        )
    refuse_other_variants(found, {"lambda", "pipe"}, "this measures lambda and pipe")
    described = environment.describe(found, 1, start)
    with progress_bars(console) as progress:
        bar, figures = progress.add_task("figures", total=None), list[Figure]()
        for figure in measured(found, progress):
            figures.append(figure)
            progress.advance(bar)
    with folder_of(described["started"], RESULTS) as folder:
        told = {"environment": described, "figures": [asdict(figure) for figure in figures]}
        (folder / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    console.print(table_of(figures), f"Summary: {folder / 'summary.json'}", soft_wrap=True)


def measured(stack: Stack, progress: Progress) -> Iterator[Figure]:
    """All figures; those of one process are taken while the fleet is away."""
    of, ecs, count = stack.outputs, stack.client("ecs"), wanted_tasks(stack)
    ecs.update_service(cluster=of.cluster, service=of.service, desiredCount=0)
    try:
        wait(lambda: not live_leases(stack.client("dynamodb"), of.leases_table))
        for alone in (measures.bursts, measures.lives, measures.snapshots, measures.replica):
            yield from alone(stack)
        yield from forwarding.handler(stack)
        yield from forwarding.drains(stack)
        yield from writing(stack)
    finally:
        ecs.update_service(cluster=of.cluster, service=of.service, desiredCount=count)
    yield from measures.fleet(stack, progress)
