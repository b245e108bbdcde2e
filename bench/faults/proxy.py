"""The proxy between the system and the emulator that makes calls fail as AWS would."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.errors import ExperimentError

HOST = "127.0.0.1"
START_S = 30


@dataclass(frozen=True)
class Proxy:
    """A microburst that listens at `url`."""

    url: str

    @contextmanager
    def rule(self, **rule: Any) -> Iterator[list[int]]:
        """Have a rule of microburst's apply; at its end the list holds how many calls it hit."""
        hits: list[int] = []
        (made,) = self.control("PATCH", "rules", [rule])
        try:
            yield hits
        finally:
            fired = {one["id"]: one["fired"] for one in self.control("GET", "stats")["by_rule"]}
            hits.append(fired.get(made["id"], 0))
            self.control("DELETE", "rules", [rule])

    def calls(self, service: str) -> int:
        """How many calls of a service it has seen."""
        seen = {one["service"]: one["requests"] for one in self.control("GET", "stats")["by_service"]}
        return seen.get(service, 0)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask its control API."""
        request = urllib.request.Request(
            f"{self.url}/_microburst/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def started(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of `upstream`, on a free loopback port."""
    port = str(free_port())
    proxy = Proxy(f"http://{HOST}:{port}")
    process = subprocess.Popen(
        [sys.executable, "-m", "microburst", "--host", HOST, "--port", port, "--upstream", upstream],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                proxy.control("GET", "health")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ExperimentError(f"the fault proxy does not answer at {proxy.url}") from None
                time.sleep(0.1)
        yield proxy
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
