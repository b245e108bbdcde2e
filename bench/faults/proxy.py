"""The proxy between the system and the emulator that makes calls fail as AWS would."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3

from bench.errors import ExperimentError
from local.emulator import HOST, free_port

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
            hits += [
                one["fired"] for one in self.control("GET", "stats")["by_rule"] if one["id"] == made["id"]
            ]
            self.control("DELETE", "rules", [rule])

    def calls(self, service: str) -> int:
        """How many calls of a service it has seen."""
        seen = self.control("GET", "stats")["by_service"]
        return sum(one["requests"] for one in seen if one["service"] == service)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask its control API."""
        url = f"{self.url}/_microburst/{path}"
        return urllib3.request(method, url, json=body, timeout=10, retries=False).json()


@contextmanager
def started(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of `upstream`, on a free loopback port."""
    port = str(free_port())
    command = [sys.executable, "-m", "microburst", "--host", HOST, "--port", port, "--upstream", upstream]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proxy, deadline = Proxy(f"http://{HOST}:{port}"), time.monotonic() + START_S
    try:
        while True:
            try:
                proxy.control("GET", "health")
                break
            except urllib3.exceptions.HTTPError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ExperimentError(f"the fault proxy does not answer at {proxy.url}") from None
                time.sleep(0.1)
        yield proxy
    finally:
        process.terminate()
        process.wait()
