"""The task's HTTP server: what it knows, on loopback only."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bottle import Bottle, response  # pyright: ignore[reportMissingTypeStubs]
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from waitress.server import create_server

from consumer.health import Reason, judge
from consumer.metrics import exposition
from consumer.reader import Mode
from consumer.task import Task

HOST = "127.0.0.1"
THREADS = 2
# Waitress would put a long answer into a temporary file, but the root file system is read-only: the writer is
# held back at a MiB, and it never comes to the file.
BUFFERS: Any = {"outbuf_high_watermark": 1 << 20, "outbuf_overflow": 1 << 40}
PIECE = 100


def make_server(task: Task, port: int) -> Callable[[], None]:
    """Listen on loopback; the function returned answers. Raises OSError when the port is taken."""
    try:
        return create_server(make_app(task), host=HOST, port=port, threads=THREADS, **BUFFERS).run
    except OSError as error:
        raise OSError(f"cannot listen on {HOST}:{port} (STATECAST_PORT): {error.strerror}") from error


def make_app(task: Task) -> Bottle:
    """The routes."""
    app: Any = Bottle()

    @app.get("/healthz")
    def healthz() -> dict[str, Any]:
        return verdict("healthy", judge(task.facts()).unhealthy, task.mode)

    @app.get("/readyz")
    def readyz() -> dict[str, Any]:
        return verdict("ready", judge(task.facts()).unready, task.mode)

    @app.get("/state")
    def state() -> dict[str, Any]:
        return task.state()

    @app.get("/state/items")
    def items() -> Iterator[str]:
        response.content_type = "application/json"
        with task.replica.lock:
            held = list(task.replica.items())
        return rendered(held)

    @app.get("/metrics")
    def metrics() -> bytes:
        response.content_type = CONTENT_TYPE_PLAIN_0_0_4
        return exposition(task)

    return app


def verdict(status: str, reasons: list[Reason], mode: Mode) -> dict[str, Any]:
    """200 and the status; or 503, its contrary and why. And how the task follows the table."""
    response.status = 503 if reasons else 200
    told = [reason._asdict() for reason in reasons]
    return {"status": f"un{status}" if reasons else status, "reasons": told, "mode": mode}


def rendered(held: Sequence[tuple[str, int, str]]) -> Iterator[str]:
    """A JSON object, id → version and item, piece by piece; the item is DynamoDB JSON, as it is held."""
    yield "{"
    for start in range(0, len(held), PIECE):
        piece = (
            f'{json.dumps(item_id)}:{{"version":{version},"item":{item}}}'
            for item_id, version, item in held[start : start + PIECE]
        )
        yield ("," if start else "") + ",".join(piece)
    yield "}"
