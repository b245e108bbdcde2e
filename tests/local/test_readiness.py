import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from local import LocalError
from local.readiness import Task, report, wait_until_ready, why_unready

CONSOLE = Console(quiet=True)


class Tasks(BaseHTTPRequestHandler):
    """`/ready/readyz` is ready; `/slow/readyz` becomes so at its third call; anything else never is."""

    asked = 0

    def do_GET(self) -> None:
        if self.path == "/slow/readyz":
            Tasks.asked += 1
        ready = self.path == "/ready/readyz" or (self.path == "/slow/readyz" and Tasks.asked > 2)
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b"" if ready else b'{"status": "unready", "reasons": ["no free slot"]}\n')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Tasks.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Tasks) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def task(name: str, url: str | None) -> Task:
    return {"taskArn": f"arn:aws:ecs:eu-south-1:000000000000:task/cluster/{name}", "url": url}


def test_a_task_that_answers_200_is_ready(url: str) -> None:
    assert why_unready(f"{url}/ready") is None


def test_a_task_that_is_not_ready_says_why_in_its_own_words(url: str) -> None:
    assert why_unready(f"{url}/other") == '503: {"status": "unready", "reasons": ["no free slot"]}'


def test_a_task_that_does_not_answer_is_not_ready() -> None:
    answer = why_unready("http://127.0.0.1:1")
    assert answer
    assert answer.startswith("it does not answer (")
    assert "Connection refused" in answer
    assert why_unready(None) == "it has no address yet"


def test_the_wait_ends_when_as_many_tasks_are_ready_as_are_wanted(url: str, tmp_path: Path) -> None:
    tasks = [task("a", f"{url}/ready"), task("b", f"{url}/slow"), task("surplus", f"{url}/other")]
    wait_until_ready(2, lambda: tasks, lambda: True, tmp_path, CONSOLE)
    assert Tasks.asked == 3


def test_no_task_is_waited_for_when_none_is_wanted(tmp_path: Path) -> None:
    wait_until_ready(0, list, lambda: True, tmp_path, CONSOLE)


def test_the_wait_ends_with_the_process_that_runs_the_tasks(url: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError) as error:
        wait_until_ready(3, lambda: [task("b", f"{url}/other")], lambda: False, tmp_path, CONSOLE)
    assert str(error.value).splitlines() == [
        f"0 of 3 tasks are ready after 0 s; their logs are in {tmp_path}",
        '  b: 503: {"status": "unready", "reasons": ["no free slot"]}',
        "  2 not started",
    ]


def test_the_report_names_only_the_tasks_that_are_not_ready(tmp_path: Path) -> None:
    found = {"arn:aws:ecs:::task/c/good": None, "arn:aws:ecs:::task/c/bad": "no free slot"}
    assert report(2, found, 61.2, tmp_path).splitlines() == [
        f"1 of 2 tasks are ready after 61 s; their logs are in {tmp_path}",
        "  bad: no free slot",
    ]
