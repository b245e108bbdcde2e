"""The ECS agent and service scheduler that the emulator lacks: it lists tasks as RUNNING and runs nothing.

Twice a second its list is compared with the processes. A task that is listed gets a process; one that is no
longer listed loses it, and once that has ended the event is sent that ECS would send; one whose process died,
or is unhealthy, is reported by StopTask; and a service that is short of tasks is told to look again. What
runs is written to `tasks.json`.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import Account
from local.events import TaskEvents
from local.metadata import MetadataServer
from local.task_definition import read_container
from local.task_logs import TaskLogs
from local.task_process import TaskProcess

CHECKS_AT_ONCE = 2
"""Health checks under way together: all tasks share this host, and twenty at once would disturb them."""
FAILED_STARTS_SECONDS = 300.0
LONGEST_PAUSE_SECONDS = 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What makes the processes those that the emulator lists: ARNs, and why a task is reported."""

    start: AbstractSet[str]
    stop: AbstractSet[str]
    report: Mapping[str, str]


def plan(listed: AbstractSet[str], known: Mapping[str, str | None]) -> Plan:
    """Compare the tasks that the emulator wants running with the known ones, each with its failure if any."""
    return Plan(
        start=listed - known.keys(),
        stop=known.keys() - listed,
        report={arn: failure for arn, failure in known.items() if failure and arn in listed},
    )


def replacement_time(failed_starts: Sequence[float], now: float) -> float:
    """When a service may start tasks again: 1 s after its last failed start, doubled for each before it.

    ECS goes up to 27 minutes, for tasks that never run; the others are slow to start there, but not here.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html

    Args:
        failed_starts: when its tasks ended before they were ready, in order; old ones do not count.
        now: on the same clock.
    """
    recent = [at for at in failed_starts if now - at < FAILED_STARTS_SECONDS]
    return recent[-1] + min(LONGEST_PAUSE_SECONDS, 2 ** (len(recent) - 1)) if recent else now


class Tasks:
    """The processes of the emulator's ECS tasks.

    Args:
        account: the emulator's.
        metadata: serves the tasks their metadata.
        logs: takes what they print.
        folder: their working directory.
        scratch: takes `tasks.json`, and their output in `tasks/`; must exist.
    """

    def __init__(
        self, account: Account, metadata: MetadataServer, logs: TaskLogs, folder: Path, scratch: Path
    ) -> None:
        self._account = account
        self._ecs = account.client("ecs")
        self._events = TaskEvents(account)
        self._metadata = metadata
        self._logs = logs
        self._folder = folder
        self._scratch = scratch
        self._tasks: dict[str, TaskProcess] = {}
        self._not_started: dict[str, str] = {}
        self._failed_starts: dict[str | None, list[float]] = defaultdict(list)
        self._rows: list[dict[str, Any]] | None = None

    def round(self) -> None:
        """Bring the processes one step closer to what the emulator lists."""
        now = time.monotonic()
        clusters = self._ecs.list_clusters()["clusterArns"]
        listed = {
            arn: cluster for cluster in clusters for arn in self._pages("list_tasks", "taskArns", cluster)
        }
        failures = {arn: task.failure for arn, task in self._tasks.items()}
        todo = plan(listed.keys(), failures | self._not_started)
        for arn, failure in todo.report.items():
            self._report(listed[arn], arn, failure, now)
        for arn in todo.stop:
            if self._stop(arn):
                self._events.stopped(arn)
        for cluster in clusters:
            self._start(cluster, [arn for arn in sorted(todo.start) if listed[arn] == cluster], now)
            self._replace(cluster, now)
        self._watch()

    def look(self, threads: ThreadPoolExecutor) -> None:
        """Ask each task whether it is ready."""
        list(threads.map(TaskProcess.look, list(self._tasks.values())))

    def stop(self, seconds: float = 10.0) -> None:
        """Ask every task to end, and kill those that have not after `seconds`."""
        deadline = time.monotonic() + seconds
        while self._tasks:
            for arn, task in list(self._tasks.items()):
                self._stop(arn)
                if time.monotonic() > deadline:
                    task.kill()
            self._watch()
            time.sleep(0.05)

    def _pages(self, call: str, key: str, cluster: str) -> list[str]:
        pages = self._ecs.get_paginator(call).paginate(cluster=cluster)
        return [arn for page in pages for arn in page[key]]

    def _start(self, cluster: str, arns: Sequence[str], now: float) -> None:
        for some in chunks(arns, 100):  # DescribeTasks takes no more
            for task in self._ecs.describe_tasks(cluster=cluster, tasks=some)["tasks"]:
                try:
                    self._start_one(task)
                except (ValueError, OSError, ClientError) as error:
                    self._not_started[task["taskArn"]] = f"Task failed to start: {error}"
                    self._failed_start(service_arn(task), now)

    def _start_one(self, task: dict[str, Any]) -> None:
        arn, task_id = task["taskArn"], task["taskArn"].rsplit("/", 1)[-1]
        definition = self._ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])[
            "taskDefinition"
        ]
        container = read_container(definition)
        stream = f"{container.log_prefix}/{container.name}/{task_id}"
        if container.log_group:
            self._logs.create(container.log_group, stream)
        environment = {
            **self._account.environment(),
            "ECS_CONTAINER_METADATA_URI_V4": self._metadata.add(task, definition),
        }
        process = TaskProcess(arn, service_arn(task), container, environment, self._folder)
        output = self._scratch / "tasks" / f"{task_id}.log"
        output.parent.mkdir(exist_ok=True)
        process.start(output)
        self._tasks[arn] = process
        if container.log_group:
            self._logs.follow(output, container.log_group, stream, process.has_ended)
        logger.info("%s: started as process %s", arn, process.pid)

    def _report(self, cluster: str, arn: str, failure: str, now: float) -> None:
        """Tell the emulator that a task is over."""
        logger.warning("%s: %s", arn, failure)
        self._ecs.stop_task(cluster=cluster, task=arn, reason=failure)
        task = self._tasks.get(arn)
        if task and not task.was_ready:
            self._failed_start(task.service, now)

    def _failed_start(self, service: str | None, now: float) -> None:
        if self._failed_starts[service][-1:] != [now]:  # several in one round are one
            self._failed_starts[service].append(now)

    def _stop(self, arn: str) -> bool:
        """End a task that the emulator lists no more; once it has ended, which is told, forget it."""
        self._not_started.pop(arn, None)
        task = self._tasks.get(arn)
        if task and task.has_ended():
            task.kill()
            self._metadata.remove(arn)
            del self._tasks[arn]
            logger.info("%s: ended with exit code %s", arn, task.exit_code)
            return True
        if task:
            task.stop()
        return False

    def _replace(self, cluster: str, now: float) -> None:
        """Have each service that is short of tasks start some, unless its tasks keep failing."""
        arns = self._pages("list_services", "serviceArns", cluster)
        for some in chunks(arns, 10):  # DescribeServices takes no more
            for service in self._ecs.describe_services(cluster=cluster, services=some)["services"]:
                failed_starts = self._failed_starts[service["serviceArn"]]
                short = service["runningCount"] < service["desiredCount"]
                if short and replacement_time(failed_starts, now) <= now:
                    # An update of nothing has the emulator count the tasks. With the desired count as read
                    # above, it would undo a change that somebody made meanwhile.
                    self._ecs.update_service(cluster=cluster, service=service["serviceArn"])

    def _watch(self) -> None:
        for task in self._tasks.values():
            task.watch(may_check=sum(other.checking for other in self._tasks.values()) < CHECKS_AT_ONCE)
        rows = [task.row() for _, task in sorted(self._tasks.items()) if not task.has_ended()]
        if rows != self._rows:
            write_json(self._scratch / "tasks.json", rows)
            self._rows = rows


def service_arn(task: Mapping[str, Any]) -> str | None:
    """The ARN of a task's service, which its group names; None when it was run on its own."""
    kind, _, name = task.get("group", "").partition(":")
    return f"{task['clusterArn'].replace(':cluster/', ':service/')}/{name}" if kind == "service" else None


def chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    """The items in order, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def write_json(path: Path, value: Any) -> None:
    """Replace a file at once: a reader sees it before or after."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(value, indent=2))
    new.replace(path)
