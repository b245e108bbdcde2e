"""`bench faults`: the run, from the schedule to the verdict."""

import json
import secrets
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from threading import Event
from typing import Annotated, Any

import psutil
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from bench import environment, workload
from bench.deliveries import CLOCK_MARGIN_MS, DeliveryLog, parse
from bench.errors import ExperimentError
from bench.faults import proxy
from bench.faults.checker import Held, Sample, Struck, scan_told
from bench.faults.injection import INJECTIONS, MALFORMED, System
from bench.faults.result import Observation, conclude
from bench.faults.schedule import FAULTS, MALFORMED_MESSAGES, Strike, schedule
from bench.fleet import await_converged, await_ready, live_leases, table_versions, wanted_tasks
from bench.report.faults import page, show, show_schedule
from bench.report.terminal import progress_bars
from bench.result import MEASURED, RESULTS, folder_of, save_deliveries
from bench.run import WARM_UP_INTERVAL_S, tidied
from bench.stack import find, refuse_other_variants
from bench.writer import TableEntry, now_ms, write_on_schedule
from local.stack import local_stack

SAMPLES_PER_SECOND = 4
READY_S = 120.0
"""For all tasks at once to start on a machine that is busy."""
DEAD_LETTERS_S = 60.0
"""Five receives, each after the visibility timeout, with room to spare."""
LOGGED_S = 3.0
"""A line that a task has printed is in the log group by then."""


def faults(
    *,
    stack: Annotated[str, typer.Option(help="A local stack that is up: its processes are here.")] = "local",
    seed: Annotated[int | None, typer.Option(help="The seed of schedule and writes.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long to write, and to break things.")] = 90,
    rate: Annotated[float, typer.Option(min=0.1, help="Writes a second.")] = 20,
    fault: Annotated[list[str] | None, typer.Option(help="This fault alone; may be given again.")] = None,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to converge after the last write.")] = 120,
) -> None:
    """Break the system under writes on a seeded schedule, and account for every acknowledged write."""
    if unknown := set(fault or ()) - set(FAULTS):
        raise ExperimentError(f"no fault {', '.join(unknown)}; they are: {', '.join(FAULTS)}")
    console, chosen = Console(), secrets.randbelow(2**32) if seed is None else seed
    strikes = schedule(chosen, seconds, fault or FAULTS)
    found = find(stack)
    if found.endpoint is None:
        raise ExperimentError(f"stack {stack!r} is on AWS: faults strike the processes of a local stack")
    refuse_other_variants(found, {"lambda", "pipe"}, "faults cut lambda and pipe")
    console.print(f"Stack {stack}, seed {chosen}")
    show_schedule(strikes, console)
    start = datetime.now(UTC)
    described = environment.describe(found, chosen, start)
    with proxy.started(found.endpoint) as through:
        system = System(found, local_stack(stack, console), through)
        with rerouted(system):
            observation = observe(
                system,
                console,
                strikes,
                described | {"seconds": seconds, "rate": rate},
                prefix=f"faults:{start:%Y%m%dT%H%M%S%f}:",
                seed=chosen,
                writes=round(seconds * rate),
                interval_s=1 / rate,
                patience_s=patience,
            )
    result = conclude(observation)
    with folder_of(described["started"], RESULTS) as folder:
        (folder / "summary.json").write_text(json.dumps(result.summary(), indent=2) + "\n")
        save_deliveries({MEASURED: result.arrivals}, result.observation.deliveries, folder)
    (folder / "report.html").write_text(page(result))
    show(result, console)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    if result.problems:
        raise typer.Exit(1)


def observe(
    system: System,
    console: Console,
    strikes: Sequence[Strike],
    described: dict[str, Any],
    *,
    prefix: str,
    seed: int,
    writes: int,
    interval_s: float,
    patience_s: float,
) -> Observation:
    """Write while the faults strike, wait until all is over, then gather what every task holds."""
    stack, dynamodb, of = system.stack, system.stack.client("dynamodb"), system.stack.outputs
    seeds, plan = workload.seeds(prefix), workload.plan(writes, seed, prefix)
    entry, since_ms = TableEntry(stack.client("dynamodb", attempts=1), of.table), now_ms() - CLOCK_MARGIN_MS
    before = dead_letters(system)
    samples, started, over = list[Sample](), dict[str, int](), Event()
    with (
        tidied(stack, {write.id for write in (*seeds, *plan)}, console),
        progress_bars(console) as progress,
        ThreadPoolExecutor(1 + len(strikes)) as threads,
        ExitStack() as ending,
    ):
        ending.callback(over.set)
        watching = threads.submit(watch, system, samples, started, over)
        made = write_on_schedule(seeds, WARM_UP_INTERVAL_S, entry, lambda: None)
        bar, first = progress.add_task("writes", total=writes), time.monotonic()
        first_ms = now_ms()
        striking = [threads.submit(strike_once, system, one, seed, first, over) for one in strikes]
        made += write_on_schedule(plan, interval_s, entry, lambda: progress.advance(bar))
        struck = [strike.result() for strike in striking]
        pushed = await_push(system, patience_s)
        converged = await_converged(stack, wanted_tasks(stack), patience_s)
        letters = {}
        if any(strike.fault == MALFORMED_MESSAGES for strike in strikes):
            letters = awaited_letters(system, before)
        tasks, table = held(system), table_versions(dynamodb, of.table)
        time.sleep(LOGGED_S)
        over.set()
        watching.result()
        seen = {lease.task for sample in samples for lease in sample.leases}
        lines = list(DeliveryLog(stack.client("logs"), of.log_group, seen, prefix, since_ms).lines())
    return Observation(
        environment=described,
        first=first_ms,
        struck=struck,
        writes=made,
        samples=samples,
        started=started,
        deliveries=[delivery for line in lines if (delivery := parse(line, prefix))],
        scans=[scan for line in lines if (scan := scan_told(line))],
        table=table,
        tasks=tasks,
        pushed=pushed,
        converged=converged,
        dead_letters=letters,
    )


@contextmanager
def rerouted(system: System) -> Iterator[None]:
    """Tasks and function make their calls through the proxy; at the end all is as it was."""
    service, slots = system.service(), len(system.stack.outputs.slots)
    most = service["desiredCount"] * 3 // 2
    if slots < 2 * most:
        raise ExperimentError(
            f"stack {system.stack.name!r} has {slots} slots; to swap {most} tasks at once takes {2 * most}: "
            f"deploy it with --config tasksMax={most}"
        )
    functions, stream = system.stack.client("lambda"), system.stack.outputs.stream_arn
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=stream)["EventSourceMappings"]
    name, alias = mapping["FunctionArn"].split(":")[-2:]
    version = functions.get_alias(FunctionName=name, Name=alias)["FunctionVersion"]
    given = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def configure(variables: dict[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    with ExitStack() as undo:
        undo.callback(configure, given)
        configure({**given, "AWS_ENDPOINT_URL_SNS": system.proxy.url})
        undo.callback(functions.update_alias, FunctionName=name, Name=alias, FunctionVersion=version)
        published = functions.publish_version(FunctionName=name)["Version"]
        functions.update_alias(FunctionName=name, Name=alias, FunctionVersion=published)
        former = {lease.task for lease in await_ready(system.stack, READY_S)}

        def restore() -> None:
            proxied = {lease.task for lease in system.ready()}
            system.set_service(taskDefinition=service["taskDefinition"], desiredCount=service["desiredCount"])
            await_ready(system.stack, READY_S, without=proxied)

        undo.callback(restore)
        through = {f"AWS_ENDPOINT_URL_{name}": system.proxy.url for name in ("SQS", "DYNAMODB")}
        system.set_service(taskDefinition=system.new_definition(through))
        await_ready(system.stack, READY_S, without=former)
        yield


def watch(system: System, samples: list[Sample], started: dict[str, int], over: Event) -> None:
    """Look at the fleet, and at when each task's process began, until it is over."""
    dynamodb, table = system.stack.client("dynamodb"), system.stack.outputs.leases_table
    while not over.wait(1 / SAMPLES_PER_SECOND):
        samples.append(Sample(now_ms(), wanted_tasks(system.stack), live_leases(dynamodb, table)))
        for task, pid in system.pids().items():
            if task not in started and psutil.pid_exists(pid):
                started[task] = round(psutil.Process(pid).create_time() * 1000)


def strike_once(system: System, strike: Strike, seed: int, first: float, over: Event) -> Struck:
    """Inject a fault at its time and end it at its time, or at once when the run is over."""
    over.wait(first + strike.begin_s - time.monotonic())
    struck = Struck(strike.fault, now_ms(), 0)
    try:
        with INJECTIONS[strike.fault].inject(system, Random(f"{seed} {strike.fault}")) as hit:
            over.wait(first + strike.end_s - time.monotonic())
        return replace(struck, end=hit.over_ms or now_ms(), tasks=hit.tasks, note=hit.note)
    except (BotoCoreError, ClientError, ExperimentError, OSError) as problem:
        return replace(struck, end=now_ms(), problem=str(problem))


def await_push(system: System, patience_s: float) -> bool:
    """Whether, in time, all tasks that the service wants are ready and none polls."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        ready = system.ready()
        if len(ready) >= wanted_tasks(system.stack) and all(lease.mode == "push" for lease in ready):
            return True
        time.sleep(1)
    return False


def held(system: System) -> dict[str, Held]:
    """What each ready task holds."""
    urls = {task["taskArn"]: task["url"] for task in system.local.status()["tasks"]}
    holdings: dict[str, Held] = {}
    for lease in system.ready():
        with urllib.request.urlopen(f"{urls[lease.task]}/state/items", timeout=30) as answer:
            holdings[lease.task] = {item_id: of["version"] for item_id, of in json.load(answer).items()}
    return holdings


def dead_letters(system: System) -> dict[str, int]:
    """How many messages of each slot are dead letters: in its queue, or archived by the reaper."""
    of, s3 = system.stack.outputs, system.stack.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=of.archive)
    archived = Counter(entry["Key"].split("/")[0] for page in pages for entry in page.get("Contents", []))
    queues = {f"{number:02}": slot["dlqUrl"] for number, slot in enumerate(of.slots)}
    return {slot: system.depth(url) + archived[slot] for slot, url in queues.items()}


def awaited_letters(system: System, before: dict[str, int]) -> dict[str, int]:
    """What has come to the dead-letter queues of the slots that are leased, once it is all or time is up."""
    deadline = time.monotonic() + DEAD_LETTERS_S
    while True:
        slots, now = {lease.slot for lease in system.ready()}, dead_letters(system)
        came = {slot: now[slot] - before[slot] for slot in sorted(slots)}
        if min(came.values(), default=0) >= MALFORMED or time.monotonic() > deadline:
            return came
        time.sleep(1)
