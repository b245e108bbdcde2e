"""Whether the tasks of a service are ready."""

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
    """Wait until `wanted` of the `tasks` are ready, for as long as their supervisor is alive.

    Raises LocalError, which says of each task why it is not.
    """
    started = time.monotonic()
    limit = SECONDS + SECONDS_PER_TASK * wanted
    columns = TextColumn("tasks ready"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=wanted)
        while True:
            found = {task["taskArn"]: why_unready(task["url"]) for task in tasks()}
            ready = sum(why is None for why in found.values())
            progress.update(bar, completed=ready)
            if ready >= wanted:
                return
            elapsed = time.monotonic() - started
            if elapsed > limit or not is_alive():
                raise LocalError(report(wanted, found, elapsed, logs))
            time.sleep(0.2)


def why_unready(url: str | None) -> str | None:
    """What keeps the task at `url` from being ready, in its own words; None when it is ready."""
    if not url:
        return "it has no address yet"
    try:
        with urlopen(f"{url}/readyz", timeout=2):
            return None
    except HTTPError as answer:
        with answer:
            return f"{answer.code}: {answer.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"it does not answer ({error})"


def report(wanted: int, found: dict[str, str | None], elapsed: float, logs: Path) -> str:
    """The error for tasks that are not ready in time; `found` says why for each, by its ARN."""
    ready = sum(why is None for why in found.values())
    lines = [f"{ready} of {wanted} tasks are ready after {elapsed:.0f} s; their logs are in {logs}"]
    lines += [f"  {arn.rsplit('/', 1)[-1]}: {why}" for arn, why in found.items() if why is not None]
    if len(found) < wanted:
        lines.append(f"  {wanted - len(found)} not started")
    return "\n".join(lines)
