"""One ECS task as a process, started, checked and ended as the ECS agent does with a container."""

import json
import logging
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from local.emulator import HOST, free_port, kill_group
from local.task_definition import Container, Health, judge

logger = logging.getLogger(__name__)


def status(*, stopping: bool, unhealthy: bool, ready: bool, was_ready: bool) -> str:
    """The status of a running task.

    | status | the task |
    |---|---|
    | `unhealthy` | has failed its health checks, and is ended for it |
    | `stopping` | was asked to end |
    | `ready` | answered `/readyz` with 200 when last asked |
    | `unready` | was ready, and did not |
    | `starting` | has not been ready yet |
    """
    if unhealthy:
        return "unhealthy"
    if stopping:
        return "stopping"
    if ready:
        return "ready"
    return "unready" if was_ready else "starting"


class TaskProcess:
    """The process of one task.

    Args:
        arn: the task's ARN.
        service: the ARN of its service, if it belongs to one.
        container: what to run.
        environment: what the agent adds to the container's own environment.
        folder: working directory, as the image has it.
    """

    def __init__(
        self,
        arn: str,
        service: str | None,
        container: Container,
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        self.arn = arn
        self.service = service
        self.was_ready = False
        self._container = container
        self._environment = {
            # `python` is the one of this virtual environment, which has what the image has.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            **container.environment,
            **environment,
        }
        self._folder = folder
        self._url = ""
        self._ready = self._stopping = False
        self._slot: str | None = None
        self._health = Health()
        self._process: subprocess.Popen[bytes] | None = None
        self._check: subprocess.Popen[bytes] | None = None
        self._started = self._checked = self._kill_at = 0.0

    @property
    def pid(self) -> int:
        """The process, once started."""
        assert self._process, "start() comes first"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, 128 + n for signal n; None while it runs."""
        code = self._process.poll() if self._process else None
        return 128 - code if code is not None and code < 0 else code

    @property
    def failure(self) -> str | None:
        """Why ECS would stop the task; None while it is in order."""
        if self.exit_code is not None:
            return f"Essential container in task exited (exit code {self.exit_code})"
        return "Task failed container health checks" if self._health.status == "UNHEALTHY" else None

    @property
    def checking(self) -> bool:
        """A health check is under way."""
        return self._check is not None

    def has_ended(self) -> bool:
        """It was started, and runs no more."""
        return self.exit_code is not None

    def start(self, output: Path) -> None:
        """Start the process, with a file for what it prints.

        Raises:
            OSError: the command cannot be run.
        """
        # All tasks share this host, so each gets a port of its own, as a container engine would map it.
        port = str(free_port())
        self._environment["STATECAST_PORT"] = port
        self._url = f"http://{HOST}:{port}"
        with output.open("wb") as file:
            self._process = self._run(self._container.command, file.fileno())
        self._started = self._checked = time.monotonic()

    def stop(self) -> None:
        """Ask it to end; it is killed after its stop timeout."""
        if self._process and not self._stopping:
            self._stopping = True
            self._kill_at = time.monotonic() + self._container.stop_timeout
            self._process.terminate()

    def kill(self) -> None:
        """End whatever is left of the container."""
        self._end_check()
        kill_group(self.pid)

    def watch(self, *, may_check: bool) -> None:
        """Carry on with what is under way, the health check or the stop; a check starts only if it may."""
        now = time.monotonic()
        if self._stopping:
            if now >= self._kill_at and not self.has_ended():
                logger.warning(
                    "%s: SIGTERM did not end it within %g s", self.arn, self._container.stop_timeout
                )
                self.kill()
        elif (check := self._container.health_check) and not self.has_ended():
            if self._check is None:
                if may_check and now - self._checked >= check.interval:
                    self._checked = now
                    self._check = self._run(check.command, subprocess.DEVNULL)
            elif self._check.poll() is not None or now - self._checked >= check.timeout:
                passed = self._check.poll() == 0  # one that still runs has failed
                self._end_check()
                self._health = judge(self._health, check, passed=passed, age=now - self._started)

    def look(self) -> None:
        """Ask it whether it is ready, and which slot it holds."""
        if self._stopping or self.has_ended():
            return
        self._ready = get(f"{self._url}/readyz") is not None
        self.was_ready = self.was_ready or self._ready
        if self._slot is None or not self._ready:  # a ready task keeps its slot
            self._slot = read_slot(get(f"{self._url}/state"))

    def row(self) -> dict[str, Any]:
        """The task as `tasks.json` has it."""
        unhealthy = self._health.status == "UNHEALTHY"
        return {
            "taskArn": self.arn,
            "slot": self._slot,
            "pid": self.pid,
            "url": self._url,
            "status": status(
                stopping=self._stopping, unhealthy=unhealthy, ready=self._ready, was_ready=self.was_ready
            ),
        }

    def _end_check(self) -> None:
        if self._check:
            kill_group(self._check.pid)
            self._check.wait()
            self._check = None

    def _run(self, command: tuple[str, ...], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # what it starts ends with it
        )


def get(url: str) -> bytes | None:
    """The body of an answer with status 200; None for any other answer, or none within a second."""
    with suppress(OSError, HTTPException), urllib.request.urlopen(url, timeout=1) as answer:
        return answer.read()
    return None


def read_slot(state: bytes | None) -> str | None:
    """The slot in a task's `/state`; None when it holds none, or answered something else."""
    with suppress(ValueError, AttributeError):
        return json.loads(state or b"{}").get("slot")
    return None
