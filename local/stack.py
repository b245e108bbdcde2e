"""A stack on the laptop, from `up` to `down`: its folder, its emulator, its tasks."""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import psutil
from rich.console import Console

from local import LocalError
from local.emulator import START_SECONDS
from local.engine import find
from local.readiness import Task, wait_until_ready
from local.session import end, start
from local.workspace import Workspace, tail

CHECKOUT = Path(__file__).resolve().parents[1]

EMULATOR_SECONDS = START_SECONDS + 10
"""By then the supervisor has given it up."""


@dataclass(frozen=True)
class Supervisor:
    """The process that runs a stack's emulator and tasks, and the emulator's URL."""

    pid: int
    endpoint: str


@dataclass(frozen=True)
class LocalStack:
    """One of the checkout's stacks on this machine.

    Its methods raise LocalError, or PulumiError when the engine has told the user already.

    Args:
        name: as in `Pulumi.<name>.yaml`.
        home: where this checkout's stacks have their folders.
        console: what the user is told.
    """

    name: str
    home: Path
    console: Console

    def up(self, overrides: Sequence[str]) -> None:
        """Deploy to a new emulator and wait for the tasks; after a failure nothing is left running."""
        with self._alone():
            if self._outputs.exists() and (running := self._supervisor()):
                raise LocalError(
                    f"Stack {self.name} is up already, at {running.endpoint}; "
                    f"to change it, take it down first: python -m local down --stack {self.name}"
                )
            if self.folder.exists():  # of an `up` that failed or was killed
                for process in self._supervising():
                    end(process.pid)
                self._end_orphans()
                shutil.rmtree(self.folder)
            workspace = self._workspace(self.folder, self._state)
            workspace.prepare(overrides)
            process = self._start_supervisor(workspace)
            try:
                workspace.run("stack", "init")
                endpoint = self._wait_for_emulator(process)
                with self.console.status("deploying"):
                    workspace.operate(
                        "up",
                        "--yes",
                        "--skip-preview",
                        "--suppress-outputs",
                        endpoint=endpoint,
                        log=self.folder / "up.log",
                    )
                self.console.print(tail(self.folder / "up.log", 4).strip())
                outputs = self.folder / "outputs.partial"
                with outputs.open("wb") as file:
                    workspace.run("stack", "output", "--json", stdout=file)
                wait_until_ready(
                    tasks_wanted(workspace, endpoint, json.loads(outputs.read_text())),
                    self._tasks,
                    lambda: process.poll() is None,
                    self.folder,
                    self.console,
                )
                outputs.rename(self._outputs)
            except BaseException:
                end(process.pid)
                self.console.print(f"Stack {self.name} is not up; the logs are in {self.folder}")
                raise

    def preview(self, overrides: Sequence[str]) -> None:
        """Plan under the policy pack, against what is up here or else from nothing."""
        running = self._supervisor() if self._outputs.exists() else None
        self.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="preview-", dir=self.home) as temporary:
            folder = Path(temporary)
            workspace = self._workspace(folder, self._state if running else folder / "state")
            workspace.prepare(overrides)
            if not running:
                workspace.run("stack", "init")
            endpoint = running.endpoint if running else None
            workspace.operate("preview", "--policy-pack", CHECKOUT / "policies", endpoint=endpoint)

    def down(self) -> None:
        """Destroy what is up, end the emulator and the tasks, and remove the folder.

        The emulator ends even when the engine fails. When nothing is up, it says so and that is all.
        """
        with self._alone():
            if not self.folder.exists():
                self.console.print(f"Stack {self.name} is not up.")
                return
            if running := self._supervisor():
                try:
                    workspace = self._workspace(self.folder, self._state)
                    if any((self._state / ".pulumi" / "locks").rglob("*.json")):  # of an `up` that was killed
                        workspace.run("cancel", "--yes")
                    with self.console.status("destroying"):
                        workspace.operate(
                            "destroy",
                            "--yes",
                            "--skip-preview",
                            "--remove",
                            endpoint=running.endpoint,
                            log=self.folder / "destroy.log",
                        )
                    self.console.print(f"Stack {self.name} is destroyed.")
                finally:
                    end(running.pid)
            else:
                self._end_orphans()
                self.console.print(
                    f"The emulator of stack {self.name} has ended already; its folder is removed."
                )
            shutil.rmtree(self.folder)

    def status(self) -> dict[str, Any]:
        """What is up: `endpoint`, `stack`, `outputs` and `tasks`."""
        running = self._supervisor()
        if running is None or not self._outputs.exists():
            state = "is not up" if running is None else "is still coming up"
            raise LocalError(
                f"Stack {self.name} {state}; python -m local up --stack {self.name} brings it up."
            )
        return {
            "endpoint": running.endpoint,
            "stack": self.name,
            "outputs": json.loads(self._outputs.read_text()),
            "tasks": self._tasks(),
        }

    @property
    def folder(self) -> Path:
        """The stack's folder while it is up, and the logs of an `up` that failed."""
        return self.home / self.name

    @property
    def _state(self) -> Path:
        return self.folder / "state"

    @property
    def _outputs(self) -> Path:
        """Written when `up` is complete."""
        return self.folder / "outputs.json"

    def _workspace(self, folder: Path, state: Path) -> Workspace:
        pulumi = find(self.console).install(folder / "bin", CHECKOUT)
        return Workspace(CHECKOUT, self.name, folder, state, pulumi)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep any other `up` or `down` of the stack out."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / f"{self.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError(
                    f"Another `up` or `down` of stack {self.name} is at work; wait for it."
                ) from None
            yield

    def _start_supervisor(self, workspace: Workspace) -> subprocess.Popen[bytes]:
        with (self.folder / "supervisor.log").open("ab") as log:
            command = [sys.executable, *_supervisor_arguments(self.folder)]
            return start(command, cwd=CHECKOUT, env=workspace.environment(None), stdout=log, stderr=log)

    def _supervising(self) -> list[psutil.Process]:
        """The processes that run the stack, or are about to."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if (process.info["cmdline"] or [])[1:] == _supervisor_arguments(self.folder)
        ]

    def _supervisor(self) -> Supervisor | None:
        """The stack's supervisor, when it is alive and its emulator has answered."""
        supervisor = self._recorded()
        try:
            command = psutil.Process(supervisor.pid).cmdline() if supervisor else []
        except psutil.Error:
            return None
        # Another process may have the number of one that has ended.
        return supervisor if str(self.folder) in command else None

    def _recorded(self) -> Supervisor | None:
        """The stack's supervisor as it was when its emulator answered."""
        path = self.folder / "supervisor.json"
        return Supervisor(**json.loads(path.read_text())) if path.exists() else None

    def _end_orphans(self) -> None:
        """End the emulator and the tasks of a supervisor that was killed."""
        ended = self._recorded()
        # While its session has members nobody else gets its number; who has it now has none of them.
        if ended and not psutil.pid_exists(ended.pid):
            end(ended.pid)

    def _wait_for_emulator(self, process: subprocess.Popen[bytes]) -> str:
        deadline = time.monotonic() + EMULATOR_SECONDS
        with self.console.status("starting the emulator"):
            while process.poll() is None and time.monotonic() < deadline:
                if running := self._supervisor():
                    return running.endpoint
                time.sleep(0.1)
        problem = (
            "ended" if process.returncode is not None else f"does not answer after {EMULATOR_SECONDS:.0f} s"
        )
        raise LocalError(f"The emulator {problem}:\n{tail(self.folder / 'supervisor.log')}")

    def _tasks(self) -> list[Task]:
        """The tasks that the supervisor runs."""
        path = self.folder / "tasks.json"
        return json.loads(path.read_text()) if path.exists() else []


def _supervisor_arguments(folder: Path) -> list[str]:
    """The arguments of the supervisor of a stack in `folder`."""
    return ["-m", "local.supervisor", str(folder)]


def local_stack(name: str, console: Console) -> LocalStack:
    """The checkout's stack of this name. Raises LocalError when there is none."""
    known = sorted(path.name[len("Pulumi.") : -len(".yaml")] for path in CHECKOUT.glob("Pulumi.*.yaml"))
    if name not in known:
        raise LocalError(f"There is no stack {name!r}; the stacks are: {', '.join(known)}.")
    checkout_id = hashlib.sha256(bytes(CHECKOUT)).hexdigest()[:12]
    return LocalStack(name, platformdirs.user_state_path("statecast") / checkout_id, console)


def tasks_wanted(workspace: Workspace, endpoint: str, outputs: dict[str, Any]) -> int:
    """How many tasks the service in the stack's outputs wants; none without a service."""
    if "service" not in outputs:
        return 0
    ecs = workspace.account(endpoint).client("ecs")
    answer = ecs.describe_services(cluster=outputs["cluster"], services=[outputs["service"]])
    return answer["services"][0]["desiredCount"]
