"""The wait for the tasks of a service."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local import LocalError

SECONDS, SECONDS_PER_TASK = 60, 5
"""How long tasks may take: each needs about a second of processor time to start, and all start at once."""

Task = dict[str, Any]
"""`taskArn`, `slot`, `pid`, `url` and `status`, as the supervisor keeps them in tasks.json."""


def wait_until_ready(
    wanted: int, tasks: Callable[[], list[Task]], is_alive: Callable[[], bool], logs: Path, console: Console
) -> None:
    """Wait until `wanted` of the `tasks` are ready, while their supervisor is alive.

    Raises LocalError, which says of each task why it is not ready.
    """
    started = time.monotonic()
    limit = SECONDS + SECONDS_PER_TASK * wanted
    columns = TextColumn("tasks ready"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=wanted)
        while True:
            found = tasks()
            ready = sum(task["status"] == "ready" for task in found)
            progress.update(bar, completed=ready)
            if ready >= wanted:
                return
            elapsed = time.monotonic() - started
            if elapsed > limit or not is_alive():
                raise LocalError(report(wanted, found, elapsed, logs))
            time.sleep(0.2)


def report(wanted: int, found: list[Task], elapsed: float, logs: Path) -> str:
    """The error for tasks that are not ready in time, with what each of them answers."""
    unready = [task for task in found if task["status"] != "ready"]
    lines = [f"{len(found) - len(unready)} of {wanted} tasks are ready after {elapsed:.0f} s; see {logs}"]
    lines += [f"  {task['taskArn']} is {task['status']}: {answer(task['url'])}" for task in unready]
    if len(found) < wanted:
        lines.append(f"  {wanted - len(found)} not started")
    return "\n".join(lines)


def answer(url: str) -> str:
    """What the task at `url` says of its readiness."""
    try:
        with urlopen(f"{url}/readyz", timeout=2) as response:
            return response.read().decode().strip()
    except HTTPError as response:
        with response:
            return f"{response.code}: {response.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"it does not answer ({error})"
