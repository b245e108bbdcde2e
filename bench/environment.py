"""Where a run took place."""

import json
import os
import platform
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from bench.stack import PROJECT, Deployed


def describe(
    stack: Deployed[Any], seed: int, start: datetime, clock_bounds_ms: Sequence[int | None] = ()
) -> dict[str, Any]:
    """The cloud, the machine that bench ran on, the commit, and what the run can be repeated with.

    `clock_bounds_ms` is how far each task's clock may be off, where ECS told it.
    """
    return {
        "cloud": _cloud(stack),
        "region": stack.region,
        "stack": stack.name,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),  # of the minute before: who else was at work
        "platform": platform.platform(),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("boto3", "pulumi", "pulumi-aws")},
        "clock_error": _clock_error(stack, clock_bounds_ms),
        "seed": seed,
        "started": stamp(start),
    }


def stamp(moment: datetime) -> str:
    """A moment (UTC) as results' folders are named by it."""
    return moment.strftime("%Y-%m-%dT%H-%M-%S.%fZ")


def caveat(described: Mapping[str, Any]) -> str:
    """What to say beside every latency of a run; empty on AWS."""
    cloud = described["cloud"]
    return "" if cloud == "aws" else f"Measured on an {cloud}: its latency is not that of AWS."


def _clock_error(stack: Deployed[Any], bounds_ms: Sequence[int | None]) -> str:
    if stack.endpoint:
        return "none, every clock is of one host"
    known = [bound for bound in bounds_ms if bound is not None]
    if not known:
        return "unknown, the clocks are of several hosts and none tells how far it may be off"
    return (
        f"unknown, but of {len(known)} of {len(bounds_ms)} tasks: by ECS at most {max(known)} ms when they "
        "started; how far the writer's, SNS's and SQS's may be off is not told"
    )


def _cloud(stack: Deployed[Any]) -> str:
    if stack.endpoint is None:
        return "aws"
    with urllib.request.urlopen(f"{stack.endpoint}/_ministack/health", timeout=10) as answer:
        return f"emulator (ministack {json.load(answer)['version']})"


def _commit() -> str | None:
    """The commit, with a + when files differ from it; None outside a git checkout."""
    try:
        described = subprocess.run(
            ("git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
