"""`bench reap`: the run, from the first poisoned message to the verdict."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from threading import Event
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import environment
from bench.errors import ExperimentError
from bench.fleet import Lease, await_ready, live_leases, table_digest, table_versions, wanted_tasks
from bench.reap.findings import Look, Poisoned, Sickened, poison_run, problems, show, sick_run
from bench.result import RESULTS, folder_of
from bench.run import tidied
from bench.stack import Stack, find
from bench.writer import TableEntry, new_trace, now_ms

LOOKS_PER_SECOND = 4
WRITES_PER_SECOND = 5
KEYS = 20
READY_S = 120.0
MINUTE_RUN_S = 65.0
"""Within so long the reaper's run each minute has seen what the leases tell."""
WINDOW_MS = 10 * 60 * 1000
"""For so long a stop counts against the reaper's budget."""


def reap(
    *,
    stack: Annotated[
        str, typer.Option(help="A local stack that is up: elsewhere nobody may send.")
    ] = "local",
    seed: Annotated[int | None, typer.Option(help="The seed of which task is poisoned.")] = None,
    patience: Annotated[float, typer.Option(min=1, help="Seconds for each of the two runs.")] = 180,
) -> None:
    """Poison one task, then the whole fleet, and time what the reaper makes of it."""
    console, chosen = Console(), secrets.randbelow(2**32) if seed is None else seed
    found = find(stack)
    if found.endpoint is None:
        raise ExperimentError(f"stack {stack!r} is on AWS: only the topic may send to a slot's queue there")
    if not found.outputs.slots:
        raise ExperimentError(f"stack {stack!r} polls: it has no queues, and so no reaper")
    start = datetime.now(UTC)
    described = environment.describe(found, chosen, start)
    console.print(f"Stack {stack}, seed {chosen}")
    watched = Watched(found)
    refuse_if_spent(found)
    prefix = f"reap:{start:%Y%m%dT%H%M%S%f}:"
    with tidied(found, {f"{prefix}{key}" for key in range(KEYS)}, console):
        told = observe(watched, console, prefix, Random(chosen), patience)
    with folder_of(described["started"], RESULTS) as folder:
        (folder / "summary.json").write_text(json.dumps({"environment": described, **told}, indent=2) + "\n")
    show(told, console)
    console.print(f"Summary: {folder / 'summary.json'}", soft_wrap=True)
    if told["problems"]:
        raise typer.Exit(1)


class Watched:
    """The stack as it is looked at: four times a second."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.looks: list[Look] = []
        self._archived: dict[tuple[str, str], str] = {}
        self._seen: set[str] = set()

    def look(self) -> None:
        """Look once."""
        of, client = self.stack.outputs, self.stack.client
        leases = live_leases(client("dynamodb"), of.leases_table)
        self._seen |= {lease.task for lease in leases}
        seen = list(self._seen)
        tasks = client("ecs").describe_tasks(cluster=of.cluster, tasks=seen)["tasks"] if seen else []
        names = {slot["alarmName"]: f"{number:02}" for number, slot in enumerate(of.slots)}
        alarms = client("cloudwatch").describe_alarms(AlarmNames=list(names), MaxRecords=100)["MetricAlarms"]
        self._read_archive()
        self.looks.append(
            Look(
                at=now_ms(),
                wanted=wanted_tasks(self.stack),
                leases=leases,
                stopped={task["taskArn"] for task in tasks if task["desiredStatus"] == "STOPPED"},
                digest=table_digest(client("dynamodb"), of.table),
                letters={f"{number:02}": self._depth(slot["dlqUrl"]) for number, slot in enumerate(of.slots)},
                alarms={names[alarm["AlarmName"]] for alarm in alarms if alarm["StateValue"] == "ALARM"},
                archived=dict(self._archived),
            )
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Go on looking for as long as the block lasts."""
        over = Event()

        def watch() -> None:
            while not over.wait(1 / LOOKS_PER_SECOND):
                self.look()

        self.look()
        with ThreadPoolExecutor(1) as threads:
            watching = threads.submit(watch)
            try:
                yield
            finally:
                over.set()
            watching.result()

    def wait(self, until: Callable[[Look], bool], patience_s: float) -> bool:
        """Whether a look from now on, in time, finds it so."""
        begin, deadline = len(self.looks), time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if any(map(until, self.looks[begin:])):
                return True
            time.sleep(1 / LOOKS_PER_SECOND)
        return False

    def _depth(self, queue: str) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def _read_archive(self) -> None:
        s3, bucket = self.stack.client("s3"), self.stack.outputs.archive
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                slot, _, name = entry["Key"].partition("/")
                key = slot, name.removesuffix(".json")
                if key not in self._archived:
                    letter = json.load(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"])
                    self._archived[key] = letter["why"]


def observe(
    watched: Watched, console: Console, prefix: str, random: Random, patience_s: float
) -> dict[str, Any]:
    """Both runs, under writes for as long as a task is being replaced."""
    stack = watched.stack
    before = await_ready(stack, READY_S)
    with watched.watching():
        with writing(stack, prefix) as written:
            victim = random.choice(before)
            sick = sicken(stack, victim, before, prefix)
            console.print(f"sent to slot {victim.slot}: a message that its task cannot apply")
            watched.wait(sick.replaced, patience_s)
        written_until = now_ms()
        watched.wait(lambda look: sick.replaced(look) and look.converged and look.quiet, patience_s)
        calm = watched.looks[-1]
        poisoned = poison(stack, calm, prefix)
        console.print("published: a message that no task can apply")
        watched.wait(lambda look: poisoned.archived(look, calm), patience_s)
        console.print("archived; the reaper's run each minute is waited for")
        time.sleep(MINUTE_RUN_S)
    sick_told = sick_run(watched.looks, sick, written_until)
    poison_told = poison_run(watched.looks, poisoned)
    table = table_versions(stack.client("dynamodb"), stack.outputs.table)
    lost = [item_id for item_id, version in written.versions.items() if table.get(item_id, 0) < version]
    return {
        "writes": written.count,
        "lost": len(lost),
        "sick": sick_told,
        "poison": poison_told,
        "problems": problems(sick_told, poison_told, lost, converged=watched.looks[-1].converged),
    }


@dataclass
class Written:
    """What was acknowledged: how many writes, and the last version of each item."""

    count: int = 0
    versions: dict[str, int] = field(default_factory=dict)


@contextmanager
def writing(stack: Stack, prefix: str) -> Iterator[Written]:
    """Write item after item for as long as the block lasts."""
    written, over = Written(), Event()
    entry = TableEntry(stack.client("dynamodb"), stack.outputs.table)

    def write() -> None:
        while not over.wait(1 / WRITES_PER_SECOND):
            item_id = f"{prefix}{written.count % KEYS}"
            written.versions[item_id] = entry.put(item_id, written.count, now_ms(), new_trace())
            written.count += 1

    with ThreadPoolExecutor(1) as threads:
        writer = threads.submit(write)
        try:
            yield written
        finally:
            over.set()
        writer.result()


def record(stack: Stack, item_id: str) -> str:
    """A change without a version, which no task can apply."""
    change = {"Keys": {"id": {"S": item_id}}, "NewImage": {"id": {"S": item_id}}}
    told = {"eventName": "MODIFY", "eventSourceARN": stack.outputs.stream_arn, "dynamodb": change}
    return json.dumps(told)


def sicken(stack: Stack, victim: Lease, others: Sequence[Lease], prefix: str) -> Sickened:
    """Send a message that cannot be applied to the queue of one task."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    envelope = {"Message": record(stack, f"{prefix}sick"), "Timestamp": now}
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.outputs.slots[int(victim.slot)]["queueUrl"], MessageBody=json.dumps(envelope)
    )
    others_tasks = {lease.task for lease in others} - {victim.task}
    return Sickened(now_ms(), victim.task, victim.slot, sent["MessageId"], others_tasks)


def poison(stack: Stack, look: Look, prefix: str) -> Poisoned:
    """Publish a message that no task can apply."""
    message = record(stack, f"{prefix}poison")
    stack.client("sns").publish(TopicArn=stack.outputs.topic_arn, Message=message)
    return Poisoned(now_ms(), look.tasks)


def refuse_if_spent(stack: Stack) -> None:
    """A stop of the last ten minutes leaves a small fleet's reaper without a budget."""
    found = stack.client("dynamodb").get_item(
        TableName=stack.outputs.leases_table, Key={"slot": {"S": "reaper"}}
    )
    stops = [int(at["N"]) for at in found.get("Item", {}).get("stopped", {}).get("M", {}).values()]
    if recent := [at for at in stops if now_ms() - at < WINDOW_MS]:
        wait_s = (max(recent) + WINDOW_MS - now_ms()) / 1000
        raise ExperimentError(
            f"the reaper stopped {len(recent)} tasks of stack {stack.name!r} in the last ten minutes, which "
            f"count against its budget: try again in {wait_s:.0f} s, or on a new stack"
        )
