"""`bench run`: change items at a fixed interval, and account for every delivery to every task."""

import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench import appsync, environment, traces, workload
from bench.burst import Burst, StepResult, step_result
from bench.cost.variants import costs
from bench.deliveries import CLOCK_MARGIN_MS, Delivery, DeliveryLog, collect
from bench.errors import ExperimentError
from bench.fleet import await_converged, await_ready, live_leases, wanted_tasks
from bench.handoff.run import handoff
from bench.invocations import Invocation, invocations
from bench.presets import PRESETS, PresetName, Step
from bench.report import markdown, page, show
from bench.report.terminal import progress_bars
from bench.result import RESULTS, Observation, conclude, save
from bench.stack import AWS_ONLY, Stack, find
from bench.statistics import Distribution, acknowledged, expectations, fulfilled, join
from bench.workload import PlannedWrite
from bench.writer import Entry, TableEntry, Write, now_ms, write_on_schedule

EntryName = Literal["table", "appsync"]
WRITES, INTERVAL_S = 40, 0.5
WARM_UP_INTERVAL_S = 0.1


def run(
    *,
    stack: Annotated[str, typer.Option(help="The stack: a local one that is up, or one on AWS.")],
    preset: Annotated[
        Literal[PresetName, "epsagon"] | None,
        typer.Option(
            help="article: 20 tasks, 720 writes, one each 5 s. soak: a write each second, for an hour. "
            "burst: 20 to 200 writes a second in steps of 20 s, until p99 leaves 2 s; one variant alone. "
            "epsagon: the other article's hand-off, on stack handoff, as `bench handoff` makes it."
        ),
    ] = None,
    writes: Annotated[
        int | None, typer.Option(min=1, help="How many writes to make.", show_default=str(WRITES))
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Seconds, in each of which one write is made.", show_default=str(INTERVAL_S)
        ),
    ] = None,
    entry: Annotated[EntryName, typer.Option(help="Write straight to the table, or by the API.")] = "table",
    seed: Annotated[
        int | None, typer.Option(help="The seed of the plan of writes; random by default.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without news after which what is missing counts as lost.")
    ] = 60,
    keep_items: Annotated[bool, typer.Option(help="Leave the run's items in the table.")] = False,
    traces_to: Annotated[
        Path | None, typer.Option("--traces", help="A folder for the writes' traces, as OTLP JSON.")
    ] = None,
) -> None:
    """Change items at a fixed interval, and account for every delivery to every task."""
    options = {"--writes": writes, "--interval": interval}
    if preset == "epsagon":
        options |= {"--entry appsync": entry == "appsync", "--keep-items": keep_items}
        _refuse_options(preset, "hands messages over, and `bench handoff` has its options", options)
        handoff(stack=stack, preset=preset, seed=seed, patience=patience, traces_to=traces_to)
        return
    if preset:
        _refuse_options(preset, f"is {PRESETS[preset]}", options)
    steps = PRESETS[preset].steps if preset else [Step(writes or WRITES, interval or INTERVAL_S)]
    console = Console()
    found = find(stack)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    console.print(
        f"Stack {found.name}, variants {', '.join(found.outputs.variants)}, entry {entry}, seed {chosen}"
    )
    priced = costs(found, wanted_tasks(found), entry)  # before the run, which a wrong setting must not lose
    with progress_bars(console) as progress:
        observation = observe(
            found,
            progress,
            steps=steps,
            preset=preset,
            entry=entry,
            seed=chosen,
            patience_s=patience,
            keep_items=keep_items,
        )
    result = conclude(observation, priced)
    folder = save(result, {"report.html": page, "report.md": markdown}, RESULTS)
    show(result, console)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    if traces_to:
        spans = traces.of_run(observation.writes, observation.deliveries)
        path = traces.save(spans, found.name, observation.environment["started"], traces_to)
        console.print(f"Traces: {path}", soft_wrap=True)
    if not result.passed:
        raise typer.Exit(1)


def observe(
    stack: Stack,
    progress: Progress,
    *,
    steps: Sequence[Step],
    entry: EntryName,
    seed: int,
    patience_s: float,
    keep_items: bool,
    preset: PresetName | None = None,
) -> Observation:
    """Make the writes, then gather what became of them: reading logs meanwhile would disturb them.

    Of several steps each begins when all of the one before has come, and one that did not hold is the last.
    """
    start = datetime.now(UTC)
    aws_only = [name for name in stack.outputs.variants if stack.endpoint and name in AWS_ONLY]
    variants = [name for name in stack.outputs.variants if name not in aws_only]
    if not variants:
        raise ExperimentError(f"an emulator does not run variant {aws_only[0]}: measure it on AWS")
    if preset:
        _refuse_unfit(stack, preset, variants)
    leases = await_ready(stack, patience_s)
    described = environment.describe(stack, seed, start, [lease.clock_error_bound_ms for lease in leases])
    tasks = [lease.task for lease in leases]
    prefix = f"bench:{start:%Y%m%dT%H%M%S%f}:"
    door = _entry(stack, entry)
    log = DeliveryLog(
        stack.client("logs"), stack.outputs.log_group, tasks, prefix, now_ms() - CLOCK_MARGIN_MS
    )

    def make(description: str, planned: Sequence[PlannedWrite], every_s: float) -> list[Write]:
        bar = progress.add_task(description, total=len(planned))
        return write_on_schedule(planned, every_s, door, lambda: progress.advance(bar))

    def follow(description: str, made: Sequence[Write], before: Sequence[Delivery] = ()) -> list[Delivery]:
        expected = expectations(made, tasks, variants)
        bar = progress.add_task(description, total=len(expected))
        return collect(
            log,
            expected,
            lambda news: fulfilled(made, news),
            patience_s,
            advance=lambda found: progress.advance(bar, found),
            before=before,
        )

    seeds = workload.seeds(prefix)
    plan = workload.plan(sum(step.writes for step in steps), seed, prefix)
    keys = set() if keep_items else {write.id for write in (*seeds, *plan)}
    with tidied(stack, keys, progress.console):
        warm_up = make("warm-up: writes", seeds, WARM_UP_INTERVAL_S)
        if not acknowledged(warm_up):
            raise ExperimentError(f"no write to table {stack.outputs.table} succeeded: {warm_up[0].error}")
        deliveries = follow("warm-up: deliveries", warm_up)
        if not deliveries:
            raise ExperimentError(
                f"{len(tasks)} tasks logged no delivery of {len(warm_up)} writes in {patience_s:.0f} s: see "
                f"log group {stack.outputs.log_group}, and whether the forwarders are enabled"
            )
        made: list[Write] = []
        results: list[StepResult] = []
        cpu_s = clock_s = 0.0
        for step in steps:
            of = f" {1 / step.interval_s:g}/s" if len(steps) > 1 else ""
            cpu_s, clock_s = cpu_s - time.process_time(), clock_s - time.monotonic()
            writes = make(f"writes{of}", plan[len(made) : len(made) + step.writes], step.interval_s)
            cpu_s, clock_s = cpu_s + time.process_time(), clock_s + time.monotonic()
            deliveries = follow(f"deliveries{of}", writes, deliveries)
            made += writes
            if len(steps) > 1:
                results.append(step_result(step, writes, variants[0], tasks, join(writes, deliveries)))
                if results[-1].ended_by:
                    break
        described["bench_cpu"] = round(cpu_s / clock_s, 4)
        converged = await_converged(stack, len(tasks), patience_s)
        deliveries += log.read()  # copies that came late
        leases = live_leases(stack.client("dynamodb"), stack.outputs.leases_table)
        took, called, notes = _told_by_aws(stack, entry, [*warm_up, *made], patience_s)
    return Observation(
        environment=described,
        preset=preset,
        interval_s=steps[0].interval_s if len(steps) == 1 else None,
        burst=Burst(variants[0], results) if results else None,
        variants=variants,
        tasks=tasks,
        tasks_at_end=[lease.task for lease in leases],
        warm_up=warm_up,
        writes=made,
        deliveries=deliveries,
        converged=converged,
        aws_only=aws_only,
        entry=entry,
        appsync=took,
        invocations=called,
        notes=notes,
    )


def _refuse_options(preset: str, what: str, options: Mapping[str, object]) -> None:
    """Refuse those that are given beside a preset, which says by itself what it does."""
    if given := [name for name, value in options.items() if value]:
        raise ExperimentError(
            f"--preset {preset} and {' and '.join(given)} exclude each other: the preset {what}"
        )


def _refuse_unfit(stack: Stack, preset: PresetName, variants: Sequence[str]) -> None:
    of = PRESETS[preset]
    if of.one_variant and len(variants) > 1:
        raise ExperimentError(
            f"--preset {preset} is of one variant alone, and stack {stack.name!r} has {', '.join(variants)}, "
            "which share queues and tasks: set `variants` to one"
        )
    if of.tasks is not None and (wanted := wanted_tasks(stack)) != of.tasks:
        raise ExperimentError(
            f"--preset {preset} is of {of.tasks} tasks, and stack {stack.name!r} wants {wanted}: "
            "`tasksMin` sets it"
        )


def _entry(stack: Stack, name: EntryName) -> Entry:
    if name == "appsync":
        return appsync.AppSyncEntry(stack)
    return TableEntry(stack.client("dynamodb", attempts=1), stack.outputs.table)


def _told_by_aws(
    stack: Stack, entry: EntryName, made: Sequence[Write], patience_s: float
) -> tuple[Distribution, list[Invocation], list[str]]:
    """AppSync's Latency, the function's invocations, and notes of what could not be read of them."""
    took, called, notes = Distribution(0), list[Invocation](), list[str]()
    if entry == "appsync":
        with _noted("AppSync's Latency", notes):
            until = max(write.acknowledged_at for write in made)
            took = appsync.latency(stack, made[0].scheduled_at, until, len(made), patience_s)
    with _noted("The function's invocations", notes):
        called = invocations(stack, made[0].scheduled_at)
    return took, called, notes


@contextmanager
def _noted(what: str, notes: list[str]) -> Iterator[None]:
    """Note that something could not be read, and go on: the run's deliveries would be lost with it."""
    try:
        yield
    except (BotoCoreError, ClientError) as problem:
        notes.append(f"{what} could not be read: {problem}")


@contextmanager
def tidied(stack: Stack, keys: Collection[str], console: Console) -> Iterator[None]:
    """Delete the run's items at its end, however it ends."""
    try:
        yield
    finally:
        dynamodb = stack.client("dynamodb")
        try:
            for key in keys:
                dynamodb.delete_item(TableName=stack.outputs.table, Key={"id": {"S": key}})
        except (BotoCoreError, ClientError) as problem:  # what ended the run matters more
            console.print(f"[red]its items are left in {stack.outputs.table}:[/] {escape(str(problem))}")
