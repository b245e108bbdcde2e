import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from local import LocalError
from local.readiness import Task, answer, report, wait_until_ready

CONSOLE = Console(quiet=True)


class NotReady(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "unready", "reasons": ["no free slot"]}\n')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), NotReady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def task(name: str, status: str, url: str = "http://127.0.0.1:1") -> Task:
    return {"taskArn": f"arn:task/{name}", "status": status, "url": url}


def test_the_wait_ends_when_as_many_tasks_are_ready_as_are_wanted(tmp_path: Path) -> None:
    rounds = [
        [],
        [task("a", "starting"), task("b", "starting")],
        [task("a", "ready"), task("b", "unready")],
        [task("a", "ready"), task("b", "unhealthy"), task("c", "ready")],
        [],
    ]
    seen = iter(rounds)
    wait_until_ready(2, lambda: next(seen), lambda: True, tmp_path, CONSOLE)
    assert list(seen) == [[]]


def test_no_task_is_waited_for_when_none_is_wanted(tmp_path: Path) -> None:
    wait_until_ready(0, list, lambda: True, tmp_path, CONSOLE)


def test_the_wait_ends_with_the_process_that_runs_the_tasks(url: str, tmp_path: Path) -> None:
    found = [task("a", "ready"), task("b", "starting", url)]
    with pytest.raises(LocalError) as error:
        wait_until_ready(4, lambda: found, lambda: False, tmp_path, CONSOLE)
    assert str(error.value).splitlines() == [
        f"1 of 4 tasks are ready after 0 s; see {tmp_path}",
        '  arn:task/b is starting: 503: {"status": "unready", "reasons": ["no free slot"]}',
        "  2 not started",
    ]


def test_the_wait_ends_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.readiness.SECONDS", -5.1)
    with pytest.raises(LocalError, match="0 of 1 tasks are ready"):
        wait_until_ready(1, list, lambda: True, tmp_path, CONSOLE)


def test_the_report_names_a_task_that_does_not_answer(tmp_path: Path) -> None:
    [_, line] = report(1, [task("a", "unhealthy")], 61.2, tmp_path).splitlines()
    assert line.startswith("  arn:task/a is unhealthy: it does not answer (")
    assert "Connection refused" in line


def test_a_task_is_quoted_in_its_own_words(url: str) -> None:
    assert answer(url) == '503: {"status": "unready", "reasons": ["no free slot"]}'
    assert answer(f"{url}/elsewhere").startswith("404: ")
