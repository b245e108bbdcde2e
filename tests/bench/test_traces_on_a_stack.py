"""Traces from the write to each task's applied change: a whole stack, and the OpenTelemetry Collector."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.process import collecting
from tests.emulation import eventually
from tests.local_stack import call, running
from tests.otlp import Receiver, read, receiving

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]

WRITES, TASKS, FORWARDERS = 10, 2, 2


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """What the collector that the stack's tasks send to hands on."""
    state = tmp_path_factory.mktemp("state")
    with (
        receiving() as receiver,
        collecting(receiver.url, state / "collector.log") as url,
        running(state, f"tasksMin={TASKS}", f"tracesEndpoint={url}"),
    ):
        yield receiver


@pytest.mark.parametrize("entry", ["table", "appsync"])
def test_each_task_sends_the_spans_that_bench_tells_from_its_log(
    receiver: Receiver, tmp_path: Path, entry: str
) -> None:
    asked = ("--writes", str(WRITES), "--seed", "3", "--entry", entry, "--traces", "traces")
    ended = call("bench", "run", "--stack", "local", *asked, folder=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr

    [path] = (tmp_path / "traces").glob("*.json")
    told = read(json.loads(path.read_text()))
    writes = [span for span in told if span.name == "write"]
    traces = {span.trace for span in writes}
    assert 0 < len(traces) == len(writes) < WRITES, "one for each put and none for a delete"
    by_tasks = {span.id: span for span in told if span not in writes}
    arrived = [span for span in by_tasks.values() if span.name in ("delivery", "copy")]
    assert len(arrived) == len(writes) * TASKS * FORWARDERS
    eventually(lambda: len([span for span in receiver.received if span.trace in traces]) >= len(by_tasks))
    assert {span.id: span for span in receiver.received if span.trace in traces} == by_tasks
