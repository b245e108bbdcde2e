"""The OpenTelemetry Collector, built once from its Go modules, that hands on what it takes."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import platformdirs
import pytest

from local.emulator import HOST, free_port

HERE = Path(__file__).parent
START_SECONDS = 30


def binary() -> Path:
    """The collector of these modules, from the cache or built. Without Go, tests skip; on CI they fail."""
    sources = b"".join((HERE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    built = platformdirs.user_cache_path("statecast") / f"collector-{sha256(sources).hexdigest()[:12]}"
    if built.exists():
        return built
    if not shutil.which("go"):
        told = "no `go` on PATH to build the OpenTelemetry Collector with: https://go.dev/dl/"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    built.parent.mkdir(parents=True, exist_ok=True)
    partial = built.with_suffix(".partial")
    subprocess.run(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", partial, "."], cwd=HERE, check=True)
    return partial.rename(built)


@contextmanager
def collecting(target: str, output: Path) -> Iterator[str]:
    """A collector that sends all it takes to `target` before it answers; its URL. It logs to `output`."""
    port = free_port()
    # Without a queue: the answer to a sender is that of the target.
    exporter = {
        "endpoint": target,
        "sending_queue": {"enabled": False},
        "retry_on_failure": {"enabled": False},
    }
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"{HOST}:{port}"}}}},
        "exporters": {"otlp_http": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
        },
    }
    with output.open("wb") as log:
        process = subprocess.Popen(
            [binary(), f"--config=yaml:{json.dumps(config)}"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((HOST, port), 1).close()
                break
            except OSError:
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait()
