import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from local.alarms import Alarms
from local.emulator import Account, Emulator
from local.metadata import MetadataServer
from local.supervisor import keep, repeat
from tests.emulation import eventually

pytestmark = pytest.mark.emulator

REGION = "eu-south-1"
GROUP = "/tasks"

# Stands in for the consumer. It is ready at once; its health check fails while a file names its process.
TASK = """
import http.server, json, os, signal, sys, urllib.request

document = json.load(urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task"))
print("started", document["TaskARN"], flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"slot": "07", "pid": os.getpid()}).encode())

    def log_message(self, *args):
        pass

def end(*_):
    sys.stdout.write("asked to end")
    sys.stdout.flush()
    os._exit(0)

signal.signal(signal.SIGTERM, end)
http.server.HTTPServer(("127.0.0.1", int(os.environ["STATECAST_PORT"])), Handler).serve_forever()
"""
CHECK = """
import json, os, pathlib, sys, urllib.request

state = json.load(urllib.request.urlopen("http://127.0.0.1:" + os.environ["STATECAST_PORT"] + "/state"))
sick = pathlib.Path(os.environ["SICK"])
sys.exit(sick.exists() and sick.read_text() == str(state["pid"]))
"""


@dataclass(frozen=True)
class Supervised:
    """A supervisor under test."""

    process: psutil.Process
    folder: Path
    account: Account

    def tasks(self, wanted: int) -> list[dict[str, Any]]:
        """The tasks, once there are `wanted` and all are ready."""
        return eventually(lambda: self._ready(wanted))

    def listed(self) -> list[dict[str, Any]]:
        path = self.folder / "tasks.json"
        return json.loads(path.read_text()) if path.exists() else []

    def lines(self, arn: str) -> list[str]:
        """What CloudWatch Logs has of a task."""
        stream = f"task/main/{arn.rpartition('/')[2]}"
        answer = self.account.client("logs").get_log_events(logGroupName=GROUP, logStreamName=stream)
        return [event["message"] for event in answer["events"]]

    def task(self, arn: str, cluster: str) -> dict[str, Any]:
        """What the emulator says of a task."""
        return self.account.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]

    def _ready(self, wanted: int) -> list[dict[str, Any]]:
        found = self.listed()
        return found if [task["status"] for task in found] == ["ready"] * wanted else []


@contextmanager
def supervised(folder: Path) -> Iterator[Supervised]:
    with (folder / "supervisor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.supervisor", str(folder)],
            env={**os.environ, "AWS_REGION": REGION},
            stderr=log,
            start_new_session=True,
        )
    try:
        running = folder / "supervisor.json"
        eventually(lambda: running.exists() or process.poll() is not None)
        assert process.poll() is None, (folder / "supervisor.log").read_text()
        document = json.loads(running.read_text())
        assert document.keys() == {"pid", "endpoint"} and document["pid"] == process.pid
        account = Account(document["endpoint"], REGION)
        account.client("logs").create_log_group(logGroupName=GROUP)
        yield Supervised(psutil.Process(process.pid), folder, account)
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("supervisor")) as running:
        yield running


@pytest.fixture
def service(supervisor: Supervised, tmp_path: Path) -> Iterator[Callable[[int], str]]:
    """Starts a service of so many tasks in a cluster of its own, and gives its name and the cluster's."""
    ecs = supervisor.account.client("ecs")
    clusters: list[str] = []

    def start(tasks: int) -> str:
        clusters.append(make_service(ecs, tmp_path, tasks))
        return clusters[-1]

    yield start
    for cluster in clusters:
        ecs.update_service(cluster=cluster, service=cluster, desiredCount=0)
        ecs.delete_service(cluster=cluster, service=cluster, force=True)
        ecs.delete_cluster(cluster=cluster)
    eventually(lambda: supervisor.listed() == [])


def make_service(ecs: Any, folder: Path, tasks: int) -> str:
    name = folder.name
    (folder / "task.py").write_text(TASK)
    (folder / "check.py").write_text(CHECK)
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(
        family=name,
        containerDefinitions=[
            {
                "name": "main",
                "image": "example:1",
                "command": ["python", str(folder / "task.py")],
                "environment": [{"name": "SICK", "value": str(folder / "sick")}],
                "stopTimeout": 2,
                "healthCheck": {
                    "command": ["CMD", "python", str(folder / "check.py")],
                    "interval": 1,
                    "timeout": 5,
                    "retries": 2,
                },
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": GROUP,
                        "awslogs-region": REGION,
                        "awslogs-stream-prefix": "task",
                    },
                },
            }
        ],
    )
    ecs.create_service(cluster=name, serviceName=name, taskDefinition=name, desiredCount=tasks)
    return name


def told_of(account: Account, cluster: str) -> Callable[[], list[dict[str, Any]]]:
    """Have the events of a cluster's stopped tasks sent to a queue, and receive them."""
    sqs, events = account.client("sqs"), account.client("events")
    queue = sqs.create_queue(QueueName=cluster)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ecs"], "detail": {"clusterArn": [{"suffix": f"/{cluster}"}]}}
    events.put_rule(Name=cluster, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=cluster, Targets=[{"Id": "queue", "Arn": arn}])

    def receive() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return receive


Service = Callable[[int], str]


def test_each_task_runs_as_a_process_with_its_own_address(supervisor: Supervised, service: Service) -> None:
    service(2)
    first, second = supervisor.tasks(2)
    assert first.keys() == {"taskArn", "slot", "pid", "url", "status"}
    assert (first["slot"], second["slot"]) == ("07", "07")
    assert len({first["pid"], second["pid"], supervisor.process.pid}) == 3
    assert first["url"] != second["url"]
    for task in (first, second):
        eventually(lambda arn=task["taskArn"]: supervisor.lines(arn) == [f"started {arn}"])


def test_a_killed_task_is_reported_and_replaced_and_told_of(supervisor: Supervised, service: Service) -> None:
    cluster = service(2)
    killed, kept = supervisor.tasks(2)
    told = told_of(supervisor.account, cluster)
    os.kill(killed["pid"], signal.SIGKILL)
    now = eventually(lambda: replaced(supervisor, killed, 2))
    assert kept["taskArn"] in now
    assert [event["detail"]["taskArn"] for event in eventually(told)] == [killed["taskArn"]]
    stopped = supervisor.task(killed["taskArn"], cluster)
    assert stopped["lastStatus"] == "STOPPED"
    assert stopped["stoppedReason"] == "Essential container in task exited (exit code 137)"
    eventually(lambda: supervisor.lines(killed["taskArn"]) == [f"started {killed['taskArn']}"])


def test_a_task_that_somebody_stopped_gets_sigterm_and_is_replaced(
    supervisor: Supervised, service: Service
) -> None:
    cluster = service(1)
    [stopped] = supervisor.tasks(1)
    supervisor.account.client("ecs").stop_task(cluster=cluster, task=stopped["taskArn"], reason="a test")
    eventually(lambda: replaced(supervisor, stopped, 1))
    expected = [f"started {stopped['taskArn']}", "asked to end"]
    eventually(lambda: supervisor.lines(stopped["taskArn"]) == expected)
    assert supervisor.task(stopped["taskArn"], cluster)["stoppedReason"] == "a test"


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(
    supervisor: Supervised, service: Service
) -> None:
    cluster = service(1)
    [hung] = supervisor.tasks(1)
    os.kill(hung["pid"], signal.SIGSTOP)  # a stopped process takes no SIGTERM
    supervisor.account.client("ecs").stop_task(cluster=cluster, task=hung["taskArn"])
    eventually(lambda: not is_alive(hung["pid"]))
    eventually(lambda: supervisor.lines(hung["taskArn"]) == [f"started {hung['taskArn']}"])


def test_a_service_is_scaled_out_and_in(supervisor: Supervised, service: Service) -> None:
    cluster = service(2)
    ecs = supervisor.account.client("ecs")
    two = {task["taskArn"] for task in supervisor.tasks(2)}
    ecs.update_service(cluster=cluster, service=cluster, desiredCount=3)
    three = {task["taskArn"]: task["pid"] for task in supervisor.tasks(3)}
    assert two < three.keys()
    ecs.update_service(cluster=cluster, service=cluster, desiredCount=1)
    [left] = supervisor.tasks(1)
    gone = [pid for arn, pid in three.items() if arn != left["taskArn"]]
    assert left["taskArn"] in three and len(gone) == 2
    assert not any(is_alive(pid) for pid in gone)


def test_an_unhealthy_task_is_stopped_for_it_and_replaced(
    supervisor: Supervised, service: Service, tmp_path: Path
) -> None:
    cluster = service(2)
    sick, well = supervisor.tasks(2)
    (tmp_path / "sick").write_text(str(sick["pid"]))
    now = eventually(lambda: replaced(supervisor, sick, 2))
    assert well["taskArn"] in now
    assert supervisor.task(sick["taskArn"], cluster)["stoppedReason"] == "Task failed container health checks"
    eventually(lambda: "asked to end" in supervisor.lines(sick["taskArn"]))


def test_a_task_that_cannot_be_started_is_stopped_with_the_reason(supervisor: Supervised) -> None:
    ecs = supervisor.account.client("ecs")
    ecs.create_cluster(clusterName="alone")
    ecs.register_task_definition(
        family="broken", containerDefinitions=[{"name": "main", "image": "a", "command": ["no-such-command"]}]
    )
    [task] = ecs.run_task(cluster="alone", taskDefinition="broken")["tasks"]
    eventually(lambda: supervisor.task(task["taskArn"], "alone")["lastStatus"] == "STOPPED")
    reason = supervisor.task(task["taskArn"], "alone")["stoppedReason"]
    assert reason.startswith("Task failed to start: ") and "no-such-command" in reason


def test_nothing_is_left_when_the_supervisor_is_told_to_end(tmp_path: Path) -> None:
    with supervised(tmp_path) as supervisor:
        make_service(supervisor.account.client("ecs"), tmp_path, 2)
        supervisor.tasks(2)
        everything = supervisor.process.children(recursive=True)
        assert len(everything) >= 3, "the emulator and two tasks"
        supervisor.process.terminate()
        assert supervisor.process.wait(timeout=60) == 0
        assert [one for one in everything if is_alive(one.pid)] == []
        assert not (tmp_path / "supervisor.json").exists()
        assert supervisor.listed() == []
        outputs = [path.read_text() for path in (tmp_path / "tasks").iterdir()]
        assert len(outputs) == 2 and all(text.endswith("asked to end") for text in outputs)


def test_the_supervisor_ends_everything_when_the_emulator_dies(tmp_path: Path) -> None:
    with supervised(tmp_path) as supervisor:
        make_service(supervisor.account.client("ecs"), tmp_path, 1)
        supervisor.tasks(1)
        everything = supervisor.process.children(recursive=True)
        [emulator] = [one for one in everything if one.cmdline()[-1] == "ministack"]
        emulator.kill()
        assert supervisor.process.wait(timeout=60) == 1
        assert [one for one in everything if is_alive(one.pid)] == []
        assert "the emulator ended with exit code -9" in (tmp_path / "supervisor.log").read_text()
        assert not (tmp_path / "supervisor.json").exists()


def test_a_supervisor_can_be_told_to_end_before_the_emulator_answers(tmp_path: Path) -> None:
    with (tmp_path / "supervisor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.supervisor", str(tmp_path)],
            env={**os.environ, "AWS_REGION": REGION},
            stderr=log,
        )
    [emulator] = eventually(lambda: psutil.Process(process.pid).children())
    process.terminate()
    assert process.wait(timeout=60) == 0
    assert not is_alive(emulator.pid)


def test_what_tasks_print_at_their_end_reaches_the_log_before_the_emulator_ends(
    emulator: Emulator, tmp_path: Path
) -> None:
    with kept(emulator, tmp_path) as (supervisor, stopped, keeping):
        cluster = make_service(emulator.account.client("ecs"), tmp_path, 1)
        [task] = supervisor.tasks(1)
        stopped.set()
        keeping.result(timeout=60)
        assert supervisor.lines(task["taskArn"]) == [f"started {task['taskArn']}", "asked to end"]
        assert supervisor.task(task["taskArn"], cluster)["lastStatus"] == "RUNNING", (
            "nobody asked the emulator"
        )


def test_an_error_of_ours_ends_the_tasks_and_comes_out(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()

    def fail(alarms: Alarms) -> None:
        if broken.wait(0.1):
            raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(Alarms, "round", fail)
    with kept(emulator, tmp_path) as (supervisor, _, keeping):
        make_service(emulator.account.client("ecs"), tmp_path, 1)
        [task] = supervisor.tasks(1)
        broken.set()
        with pytest.raises(ZeroDivisionError, match="a mistake"):
            keeping.result(timeout=60)
        assert not is_alive(task["pid"])


def test_what_the_emulator_refuses_does_not_end_a_loop() -> None:
    stopped = threading.Event()
    done: list[str] = []

    def work() -> None:
        done.append("round")
        if len(done) == 3:
            stopped.set()
        raise ClientError({"Error": {"Code": "ClusterNotFoundException"}}, "ListTasks")

    repeat(work, 0, stopped)
    assert done == ["round"] * 3


@contextmanager
def kept(emulator: Emulator, folder: Path) -> Iterator[tuple[Supervised, threading.Event, "Future[None]"]]:
    """The tasks and alarms of an emulator that stays, kept by a thread until the event is set."""
    logs = emulator.account.client("logs")
    stopped, metadata = threading.Event(), MetadataServer()
    logs.create_log_group(logGroupName=GROUP)
    metadata.start()
    with ThreadPoolExecutor(1) as threads:
        try:
            keeping = threads.submit(keep, emulator, metadata, folder, stopped)
            yield Supervised(psutil.Process(), folder, emulator.account), stopped, keeping
        finally:
            stopped.set()
            threads.shutdown()
            metadata.stop()
            logs.delete_log_group(logGroupName=GROUP)
            emulator.account.client("ecs").delete_service(
                cluster=folder.name, service=folder.name, force=True
            )


def replaced(supervisor: Supervised, gone: dict[str, Any], wanted: int) -> set[str]:
    """The tasks that are ready, once there are `wanted` without the one that had to go; else none."""
    ready = {task["taskArn"] for task in supervisor.listed() if task["status"] == "ready"}
    return ready if len(ready) == wanted and gone["taskArn"] not in ready else set()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
