import io
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local.emulator import Account
from local.metadata import MetadataServer
from local.task_definition import Container, Health, HealthCheck, judge, read_container
from local.task_logs import MAX_BATCH_BYTES, MAX_EVENTS, MAX_LINE_BYTES, TaskLogs, next_batch
from local.task_process import TaskProcess, get, read_slot, status
from local.tasks import Plan, Tasks, chunks, plan, replacement_time, service_arn
from tests.emulation import eventually

DEFINITION: dict[str, Any] = {
    "family": "consumer",
    "revision": 3,
    "containerDefinitions": [
        {
            "name": "main",
            "image": "example:1",
            "command": ["python", "-m", "consumer"],
            "environment": [{"name": "STATECAST_TABLE", "value": "state"}],
            "stopTimeout": 7,
            "healthCheck": {
                "command": ["CMD", "python", "-m", "consumer.check"],
                "interval": 10,
                "retries": 2,
            },
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/tasks", "awslogs-stream-prefix": "task"},
            },
        }
    ],
}
TASK = {
    "taskArn": "arn:aws:ecs:eu-south-1:000000000000:task/fleet/0a1b",
    "clusterArn": "arn:aws:ecs:eu-south-1:000000000000:cluster/fleet",
    "group": "service:consumer",
}


def changed(**container: Any) -> dict[str, Any]:
    return {**DEFINITION, "containerDefinitions": [{**DEFINITION["containerDefinitions"][0], **container}]}


class TestPlan:
    def test_a_listed_task_without_a_process_is_started(self) -> None:
        assert plan({"a", "b"}, {"a": None}) == Plan(start={"b"}, stop=set(), report={})

    def test_a_task_that_is_listed_no_more_is_stopped(self) -> None:
        assert plan({"a"}, {"a": None, "b": None}) == Plan(start=set(), stop={"b"}, report={})

    def test_a_failed_task_is_reported_and_not_started_again_while_it_is_listed(self) -> None:
        assert plan({"a"}, {"a": "died"}) == Plan(start=set(), stop=set(), report={"a": "died"})

    def test_a_failed_task_that_is_listed_no_more_is_not_reported_again(self) -> None:
        assert plan(set(), {"a": "died"}) == Plan(start=set(), stop={"a"}, report={})


class TestReplacementTime:
    def test_a_service_without_failed_starts_may_start_tasks_at_once(self) -> None:
        assert replacement_time([], 50.0) == 50.0

    @pytest.mark.parametrize(("starts", "pause"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (2000, 60)])
    def test_the_pause_doubles_with_each_failed_start_up_to_a_minute(self, starts: int, pause: int) -> None:
        assert replacement_time([100.0] * starts, 100.0) == 100.0 + pause

    def test_failed_starts_of_long_ago_do_not_count(self) -> None:
        assert replacement_time([0.0, 1.0, 2.0, 400.0], 401.0) == 401.0


class TestHealth:
    CHECK = HealthCheck(("true",), retries=3, start_period=20)

    def judged(self, *results: bool, age: float = 60) -> Health:
        health = Health()
        for passed in results:
            health = judge(health, self.CHECK, passed=passed, age=age)
        return health

    def test_as_many_failures_in_a_row_as_retries_are_unhealthy(self) -> None:
        assert self.judged(True, False, False) == Health("HEALTHY", 2)
        assert self.judged(True, False, False, False) == Health("UNHEALTHY", 3)

    def test_a_passed_check_begins_the_count_anew(self) -> None:
        assert self.judged(False, False, True, False, False) == Health("HEALTHY", 2)

    def test_failures_in_the_start_period_do_not_count(self) -> None:
        assert self.judged(False, False, False, False, age=19) == Health("UNKNOWN", 0)
        assert self.judged(False, False, False, age=20) == Health("UNHEALTHY", 3)

    def test_failures_count_in_the_start_period_once_a_check_has_passed(self) -> None:
        assert self.judged(True, False, False, False, age=5) == Health("UNHEALTHY", 3)


class TestReadContainer:
    def test_it_takes_what_the_agent_needs(self) -> None:
        assert read_container(DEFINITION) == Container(
            name="main",
            command=("python", "-m", "consumer"),
            environment={"STATECAST_TABLE": "state"},
            stop_timeout=7,
            health_check=HealthCheck(("python", "-m", "consumer.check"), interval=10, retries=2),
            log_group="/tasks",
            log_prefix="task",
        )

    def test_what_is_not_given_has_the_defaults_of_ecs(self) -> None:
        definition = {**DEFINITION, "containerDefinitions": [{"name": "main", "command": ["true"]}]}
        assert read_container(definition) == Container("main", ("true",), {}, 30, None, None, "ecs")
        check = read_container(changed(healthCheck={"command": ["CMD", "true"]})).health_check
        assert check == HealthCheck(("true",), interval=30, timeout=5, retries=3, start_period=0)

    @pytest.mark.parametrize(
        ("command", "run"),
        [(["CMD-SHELL", "exit 1"], ("/bin/sh", "-c", "exit 1")), (["CMD", "a", "b"], ("a", "b"))],
    )
    def test_a_health_check_has_two_forms(self, command: list[str], run: tuple[str, ...]) -> None:
        check = read_container(changed(healthCheck={"command": command})).health_check
        assert check and check.command == run

    def test_none_is_no_health_check(self) -> None:
        assert read_container(changed(healthCheck={"command": ["NONE"]})).health_check is None

    def test_a_definition_that_one_process_cannot_run_is_refused_by_name(self) -> None:
        two = {**DEFINITION, "containerDefinitions": DEFINITION["containerDefinitions"] * 2}
        with pytest.raises(ValueError, match="consumer:3 has 2 containers"):
            read_container(two)
        with pytest.raises(ValueError, match="consumer:3 has no command"):
            read_container(changed(command=[]))


class TestNextBatch:
    def test_a_line_is_taken_when_it_is_whole(self) -> None:
        output = io.BytesIO(b"one\ntw")
        assert next_batch(output, ended=False) == ["one"]
        output = io.BytesIO(b"one\ntwo\n")
        output.seek(4)
        assert next_batch(output, ended=False) == ["two"]

    def test_the_last_words_of_a_task_that_has_ended_count(self) -> None:
        output = io.BytesIO(b"one\nlast wor")
        assert next_batch(output, ended=True) == ["one", "last wor"]
        assert next_batch(output, ended=True) == []

    def test_empty_lines_are_left_out_since_cloudwatch_refuses_them(self) -> None:
        assert next_batch(io.BytesIO(b"\n\none\r\n\n"), ended=False) == ["one"]

    def test_a_batch_has_no_more_events_than_a_call_takes(self) -> None:
        output = io.BytesIO(b"x\n" * (MAX_EVENTS + 1))
        assert len(next_batch(output, ended=False)) == MAX_EVENTS
        assert next_batch(output, ended=False) == ["x"]

    def test_a_batch_has_no_more_bytes_than_a_call_takes(self) -> None:
        # 26 bytes are added to each event; é has two bytes.
        lines = ["é" * 50_000 + str(number) for number in range(25)]
        output = io.BytesIO("".join(f"{line}\n" for line in lines).encode())
        batches = []
        while batch := next_batch(output, ended=False):
            assert sum(len(line.encode()) + 26 for line in batch) <= MAX_BATCH_BYTES
            batches.append(batch)
        assert [len(batch) for batch in batches] == [10, 10, 5]
        assert [line for batch in batches for line in batch] == lines

    def test_a_line_that_is_too_long_becomes_several_events(self) -> None:
        output = io.BytesIO(b"x" * (MAX_LINE_BYTES + 5) + b"\nnext\n")
        assert [len(line) for line in next_batch(output, ended=False)] == [MAX_LINE_BYTES, 5, 4]

    def test_what_is_not_utf_8_is_carried_all_the_same(self) -> None:
        assert next_batch(io.BytesIO(b"\xff\xfe ok\n"), ended=False) == ["\ufffd\ufffd ok"]


class TestTaskLogs:
    def test_what_could_not_be_delivered_is_delivered_in_the_next_round(self, tmp_path: Path) -> None:
        delivered: list[str] = []
        answers = iter([ConnectionError("cut"), None])

        def put_log_events(**call: Any) -> None:
            if error := next(answers):
                raise error
            delivered.extend(event["message"] for event in call["logEvents"])

        missing = SimpleNamespace(ResourceNotFoundException=KeyError)
        client = SimpleNamespace(put_log_events=put_log_events, exceptions=missing)
        logs = TaskLogs(cast(Account, SimpleNamespace(client=lambda _: client)))
        (tmp_path / "output").write_text("one\ntwo\n")
        logs.follow(tmp_path / "output", "group", "stream", lambda: True)
        with pytest.raises(ConnectionError):
            logs.round()
        logs.round()
        assert delivered == ["one", "two"]

    @pytest.mark.emulator
    def test_a_group_that_is_gone_keeps_no_other_output_back(self, account: Account, tmp_path: Path) -> None:
        client = account.client("logs")
        logs = TaskLogs(account)
        for group in ("gone", "there"):
            client.create_log_group(logGroupName=group)
            logs.create(group, "stream")
            (tmp_path / group).write_text("a line\n")
            logs.follow(tmp_path / group, group, "stream", lambda: False)
        client.delete_log_group(logGroupName="gone")
        logs.round()
        (tmp_path / "there").write_text("a line\nanother\n")
        logs.round()
        events = client.get_log_events(logGroupName="there", logStreamName="stream")["events"]
        assert [event["message"] for event in events] == ["a line", "another"]


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("command", "was_ready"), [("no-such-command", False), ("false", False), ("false", True)]
)
def test_a_service_whose_tasks_fail_at_once_is_given_new_ones_after_a_pause(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, was_ready: bool
) -> None:
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("local.tasks.time", clock)
    ecs = account.client("ecs")
    ecs.create_cluster(clusterName="failing")
    ecs.register_task_definition(
        family="failing",
        containerDefinitions=[{"name": "main", "image": "a", "command": [command]}],
    )
    ecs.create_service(cluster="failing", serviceName="failing", taskDefinition="failing", desiredCount=1)
    metadata = MetadataServer()
    metadata.start()
    tasks = Tasks(account, metadata, TaskLogs(account), tmp_path, tmp_path)

    seen: list[int] = []
    for seconds in (0, 0, 0.9, 0.1, 0, 0, 1.9, 0.1):
        clock.now += seconds
        tasks.round()
        seen.append(len(ecs.list_tasks(cluster="failing")["taskArns"]))
        eventually(lambda: all(task.has_ended() for task in known(tasks)))
        for task in known(tasks):
            task.was_ready = was_ready
    # Tried and, in the round after it, reported; again 1 s after the first try, and 2 s after the second. The
    # end of one that was ready is no failed start.
    assert seen == ([1] * 8 if was_ready else [1, 0, 0, 1, 1, 0, 0, 1])
    ecs.delete_service(cluster="failing", service="failing", force=True)
    metadata.stop()


def known(tasks: Tasks) -> Iterable[TaskProcess]:
    return tasks._tasks.values()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "starting"),
        ({"ready": True, "was_ready": True}, "ready"),
        ({"was_ready": True}, "unready"),
        ({"ready": True, "was_ready": True, "stopping": True}, "stopping"),
        ({"stopping": True, "unhealthy": True}, "unhealthy"),
    ],
)
def test_the_status_says_what_matters_most(facts: dict[str, bool], expected: str) -> None:
    nothing = {"stopping": False, "unhealthy": False, "ready": False, "was_ready": False}
    assert status(**{**nothing, **facts}) == expected


@pytest.mark.parametrize(
    ("answer", "slot"),
    [(b'{"slot": "03"}', "03"), (b'{"slot": null}', None), (b"[]", None), (b"<html>", None), (None, None)],
)
def test_a_slot_is_read_from_an_answer_that_has_one(answer: bytes | None, slot: str | None) -> None:
    assert read_slot(answer) == slot


def test_a_task_s_service_is_named_by_its_group() -> None:
    assert service_arn(TASK) == "arn:aws:ecs:eu-south-1:000000000000:service/fleet/consumer"
    assert service_arn({**TASK, "group": "family:consumer"}) is None


def test_chunks_keep_order_and_size() -> None:
    assert list(chunks(["a", "b", "c"], 2)) == [["a", "b"], ["c"]]
    assert list(chunks([], 2)) == []


def test_the_metadata_endpoint_tells_a_task_who_it_is() -> None:
    server = MetadataServer()
    server.start()
    try:
        url = server.add(TASK, DEFINITION)
        assert url.startswith("http://127.0.0.1:") and url.endswith("/v4/0a1b")
        task = json.loads(get(f"{url}/task") or b"")
        assert (task["TaskARN"], task["Cluster"]) == (TASK["taskArn"], TASK["clusterArn"])
        assert (task["Family"], task["Revision"]) == ("consumer", "3")
        assert json.loads(get(url) or b"")["Name"] == "main"
        server.remove(TASK["taskArn"])
        assert get(f"{url}/task") is None
    finally:
        server.stop()


def ended(tmp_path: Path, *command: str) -> tuple[TaskProcess, str]:
    container = read_container(changed(command=list(command)))
    task = TaskProcess("arn", None, container, {"GIVEN": "by the agent"}, tmp_path)
    task.start(tmp_path / "output")
    assert task._process  # pyright: ignore[reportPrivateUsage]
    task._process.wait(timeout=30)  # pyright: ignore[reportPrivateUsage]
    return task, (tmp_path / "output").read_text()


def test_a_task_has_the_environment_of_its_definition_and_agent_and_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "the-user-s-own")
    print_all = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.prefix]))"
    task, output = ended(tmp_path, "python", "-c", print_all)
    environment, folder, prefix = json.loads(output)
    assert environment.keys() - {"LC_CTYPE"} == {"PATH", "STATECAST_TABLE", "GIVEN", "STATECAST_PORT"}
    assert task.row()["url"] == f"http://127.0.0.1:{environment['STATECAST_PORT']}"
    assert (folder, prefix) == (str(tmp_path), sys.prefix)


def test_a_task_that_ended_says_how(tmp_path: Path) -> None:
    task, _ = ended(tmp_path, "/bin/sh", "-c", "exit 3")
    assert task.failure == "Essential container in task exited (exit code 3)"
    task, _ = ended(tmp_path, "/bin/sh", "-c", "kill -9 $$")
    assert task.failure == "Essential container in task exited (exit code 137)"


def test_what_a_task_leaves_running_ends_with_it(tmp_path: Path) -> None:
    task, output = ended(tmp_path, "/bin/sh", "-c", "sleep 600 >/dev/null & echo $!")
    task.kill()
    still = subprocess.run(
        ["ps", "-o", "stat=", "-p", output.strip()], capture_output=True, text=True, check=False
    )
    assert still.stdout.strip() in ("", "Z", "Zs")
