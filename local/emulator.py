"""The emulator of AWS: one ministack on a loopback port."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

HOST = "127.0.0.1"
START_SECONDS = 90.0
"""It answers after 2 to 9 s on two idle cores."""


class EmulatorError(Exception):
    """The emulator did not start, or ended; the message closes with the tail of its log."""


@dataclass(frozen=True)
class Account:
    """What a program needs to speak to the emulator.

    Args:
        endpoint: where it answers.
        region: AWS region; the emulator keeps each region's resources apart.
    """

    endpoint: str
    region: str

    def environment(self) -> dict[str, str]:
        """The variables by which an AWS SDK finds the emulator and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: Any) -> Any:
        """A boto3 client of `service` at the emulator; it may be shared by threads."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"mode": "standard"}),
        )


class Emulator:
    """A ministack of this virtual environment, with the Lambda workers that it starts.

    Args:
        folder: takes its log (`emulator.log`) and its temporary files; must exist.
        region: AWS region of what it does on its own account.
        variables: more of the variables that ministack is configured by.
        module: what is run, if it is not ministack itself.
    """

    def __init__(
        self, folder: Path, region: str, variables: Mapping[str, str] | None = None, module: str = "ministack"
    ) -> None:
        self._log = folder / "emulator.log"
        self._temporary = folder / "emulator"
        self._region = region
        self._variables = variables or {}
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def account(self) -> Account:
        """How to speak to it, once started."""
        scheme = "https" if "USE_SSL" in self._variables else "http"
        return Account(f"{scheme}://{HOST}:{self._port}", self._region)

    def start(self) -> None:
        """Start it on a free port; `wait` until it answers."""
        self._port = free_port()
        self._temporary.mkdir(exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "TMPDIR": str(self._temporary),
                    "BIND_HOST": HOST,
                    "GATEWAY_PORT": str(self._port),
                    "MINISTACK_REGION": self._region,
                    **self._variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C must not end it before the tasks
            )

    def wait(self, stopped: threading.Event, seconds: float = START_SECONDS) -> bool:
        """Wait until it answers; False when `stopped` was set first.

        Raises:
            EmulatorError: it ended, or did not answer within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not stopped.wait(0.1):
            self.check()
            with (
                suppress(OSError),
                urllib.request.urlopen(f"{self.account.endpoint}/_ministack/health", timeout=2),
            ):
                return True
            if time.monotonic() > deadline:
                raise EmulatorError(f"the emulator did not answer within {seconds:g} s:\n{self._tail()}")
        return False

    def check(self) -> None:
        """Raise EmulatorError when it has ended."""
        code = self._process.poll() if self._process else None
        if code is not None:
            raise EmulatorError(f"the emulator ended with exit code {code}:\n{self._tail()}")

    def stop(self, seconds: float = 1.0) -> None:
        """End it with everything that it started, by force after `seconds`: it waits for calls under way."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            kill_group(self._process.pid)
            self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])


def kill_group(leader: int) -> None:
    """SIGKILL what is left of the process group of `leader`."""
    with suppress(ProcessLookupError):  # nothing is
        os.killpg(leader, signal.SIGKILL)


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
