"""The redriver in the program's own stack, with the real engine, the emulator and two tasks.

The emulator's Lambda sends what it gave up to the failure queue, once a record is older than the mapping
allows. Its Pipe drops what it cannot publish: there the recorded message stands in for it.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from bench.stack import Stack, find
from bench.writer import TableEntry, new_trace, now_ms
from local.emulator import free_port
from tests.emulation import eventually
from tests.local_stack import call, running

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]

PIPE = Path(__file__).parent / "failed_batches" / "pipe.json"


@dataclass(frozen=True)
class System:
    """The stack, and what the redriver has to do with."""

    stack: Stack

    @cached_property
    def forwarder(self) -> dict[str, Any]:
        """The forwarder's mapping."""
        return self._mapping(self.stack.outputs.stream_arn)

    @cached_property
    def redriver(self) -> str:
        """The name of the redriver's function."""
        failures = self.forwarder["DestinationConfig"]["OnFailure"]["Destination"]
        return self._mapping(failures)["FunctionArn"].split(":")[6]

    @cached_property
    def variables(self) -> dict[str, str]:
        """The redriver's environment."""
        configuration = self.stack.client("lambda").get_function_configuration(FunctionName=self.redriver)
        return configuration["Environment"]["Variables"]

    @cached_property
    def entry(self) -> TableEntry:
        return TableEntry(self.stack.client("dynamodb", attempts=1), self.stack.outputs.table)

    def put(self, item_id: str) -> int:
        return self.entry.put(item_id, 1, now_ms(), new_trace())

    def records(self) -> list[dict[str, Any]]:
        """The stream's records, and the shard that they are in."""
        streams, stream = self.stack.client("dynamodbstreams"), self.stack.outputs.stream_arn
        (shard,) = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
        where = {"StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.get_shard_iterator(**where)["ShardIterator"]
        return [
            {**record["dynamodb"], "shard": shard["ShardId"]}
            for record in streams.get_records(ShardIterator=iterator)["Records"]
        ]

    def depths(self) -> tuple[int, int]:
        """How many messages wait or are in hand, in the failure queue and behind it."""
        names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible")]
        sqs = self.stack.client("sqs")
        found = [
            sqs.get_queue_attributes(QueueUrl=self.variables[queue], AttributeNames=names)["Attributes"]
            for queue in ("FAILURE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL")
        ]
        failures, dead_letters = (sum(map(int, depths.values())) for depths in found)
        return failures, dead_letters

    def tasks(self) -> list[tuple[dict[str, Any], dict[str, int]]]:
        """Each task's state, and the versions that it holds."""
        told = json.loads(call("local", "status", "--json").stdout)["tasks"]
        return [
            (
                _get(task["url"] + "/state"),
                {name: of["version"] for name, of in _get(task["url"] + "/state/items").items()},
            )
            for task in told
        ]

    def counts(self, forwarder: str) -> list[int]:
        """Deliveries by a forwarder, at each task."""
        return [sum(state["counts"].get(forwarder, {}).values()) for state, _ in self.tasks()]

    def logged(self) -> list[dict[str, Any]]:
        """The redriver's own lines."""
        logs, function = self.stack.client("logs"), self.stack.client("lambda")
        group = function.get_function_configuration(FunctionName=self.redriver)["LoggingConfig"]["LogGroup"]
        events = logs.filter_log_events(logGroupName=group)["events"]
        return [json.loads(event["message"]) for event in events if event["message"].startswith('{"event"')]

    @contextmanager
    def refused(self) -> Iterator[None]:
        """SNS refuses what the forwarder publishes, and its records are given up at once."""
        functions, mapping = self.stack.client("lambda"), self.forwarder["UUID"]
        name, alias = self.forwarder["FunctionArn"].split(":")[-2:]
        given = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

        def configure(variables: dict[str, str], age: int) -> None:
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
            version = functions.publish_version(FunctionName=name)["Version"]
            functions.update_alias(FunctionName=name, Name=alias, FunctionVersion=version)
            functions.update_event_source_mapping(UUID=mapping, MaximumRecordAgeInSeconds=age)

        configure({**given, "AWS_ENDPOINT_URL_SNS": f"http://127.0.0.1:{free_port()}"}, 1)
        try:
            yield
        finally:
            configure(given, self.forwarder["MaximumRecordAgeInSeconds"])

    @contextmanager
    def cut(self) -> Iterator[None]:
        """The forwarder reads nothing."""
        switch = self.stack.client("lambda").update_event_source_mapping
        switch(UUID=self.forwarder["UUID"], Enabled=False)
        try:
            yield
        finally:
            switch(UUID=self.forwarder["UUID"], Enabled=True)

    def send(self, **batch: Any) -> None:
        """What a Pipe would send."""
        told = json.loads(PIPE.read_text())
        told["DDBStreamBatchInfo"] |= {"streamArn": self.stack.outputs.stream_arn, **batch}
        queue = self.variables["FAILURE_QUEUE_URL"]
        self.stack.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(told))

    def _mapping(self, source: str) -> dict[str, Any]:
        found = self.stack.client("lambda").list_event_source_mappings(EventSourceArn=source)
        (mapping,) = found["EventSourceMappings"]
        return mapping


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One forwarder, and a watermark so rare that tasks do not poll while it fails."""
    settings = ("tasksMin=2", 'variants=["lambda"]', "watermarkSeconds=600")
    with running(tmp_path_factory.mktemp("state"), *settings):
        yield System(find("local"))


def test_what_sns_refused_reaches_every_task_by_the_redriver(system: System) -> None:
    changed, deleted = system.put("changed"), system.put("deleted")
    before = {"changed": changed, "deleted": deleted}
    eventually(lambda: [held for _, held in system.tasks()] == [before, before])
    forwarded = system.counts("lambda")

    with system.refused():
        expected = {"changed": system.put("changed"), "made": system.put("made")}
        system.entry.delete("deleted")
        eventually(lambda: [held for _, held in system.tasks()] == [expected, expected])
        eventually(lambda: system.depths() == (0, 0))

        for state, _ in system.tasks():
            assert state["counts"]["redriver"] == {"applied": 3, "duplicate": 0, "stale": 0}
            assert (state["mode"], state["fallbacks"], state["repairs"]) == ("push", 0, 0)
        assert system.counts("lambda") == forwarded, "SNS took nothing from the forwarder"


def test_what_a_pipe_gave_up_reaches_every_task_by_the_redriver(system: System) -> None:
    with system.cut():
        version = system.put("piped")
        redriven = system.counts("redriver")
        record = system.records()[-1]
        assert record["Keys"] == {"id": {"S": "piped"}}
        number = record["SequenceNumber"]
        system.send(
            shardId=record["shard"], startSequenceNumber=number, endSequenceNumber=number, batchSize=1
        )
        eventually(lambda: all(held.get("piped") == version for _, held in system.tasks()))
        assert system.counts("redriver") == [count + 1 for count in redriven]
        eventually(lambda: system.depths() == (0, 0))


def test_what_has_left_the_stream_is_reported_by_range_and_raises_an_alarm(system: System) -> None:
    first = int(system.records()[0]["SequenceNumber"])
    system.send(
        shardId=system.records()[0]["shard"],
        startSequenceNumber=str(first - 3),
        endSequenceNumber=str(first - 1),
        batchSize=3,
    )
    eventually(lambda: system.depths() == (0, 1))
    sqs, queue = system.stack.client("sqs"), system.variables["DEAD_LETTER_QUEUE_URL"]

    def alarmed() -> bool:
        alarms = system.stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
        watching = {"Name": "QueueName", "Value": queue.rpartition("/")[2]}
        (alarm,) = (alarm for alarm in alarms if watching in alarm["Dimensions"])
        return alarm["StateValue"] == "ALARM"

    eventually(alarmed)
    (letter,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["reason"])["Messages"]
    reason = "the stream had 0 of the range's 3 records left"
    assert letter["MessageAttributes"]["reason"]["StringValue"] == reason
    (line,) = eventually(lambda: [line for line in system.logged() if line["event"] == "lost"])
    assert (line["table"], line["lost"], line["reason"]) == (system.stack.outputs.table, 3, reason)
    assert (line["first"], line["last"]) == (str(first - 3), str(first - 1))
