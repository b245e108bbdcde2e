"""Two tables and a queue for one consumer alone, and programs under measurement."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import psutil

from bench.errors import ExperimentError
from bench.stack import PROJECT, Stack
from local.emulator import HOST, free_port
from local.metadata import MetadataServer

NAME = "statecast-speed"
ITEMS = 500
"""What bursts change: the table holds them, so that no change needs a read."""
LOOK_S, PATIENCE_S = 0.01, 120


def wait(until: Callable[[], object]) -> float:
    """The moment, on the monotonic clock, at which something was first so."""
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > deadline:
            raise ExperimentError(f"a program that is measured did not get on within {PATIENCE_S} s")
        time.sleep(LOOK_S)
    return time.monotonic()


@dataclass(frozen=True)
class Program:
    """A process; `began` is when it was started, on the monotonic clock."""

    process: "subprocess.Popen[bytes]"
    began: float
    output: Path
    url: str = ""

    @property
    def memory(self) -> int:
        """Its resident bytes."""
        return psutil.Process(self.process.pid).memory_info().rss

    @property
    def cpu_s(self) -> float:
        """The seconds of CPU that it has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def ready(self) -> bool:
        """Whether a consumer is ready."""
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=1):
            return True
        return False

    def told(self, word: str = "") -> Any:
        """The first line with a word in it that it has printed, parsed; None before that."""
        lines = self.output.read_text().splitlines()
        return next((json.loads(line) for line in lines if word in line), None)

    def end(self) -> float:
        """Tell it to end; the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        return time.monotonic() - began


@contextmanager
def running(environment: Mapping[str, str], *arguments: str, url: str = "") -> Iterator[Program]:
    """A Python program from its start on; it is ended at the end."""
    with NamedTemporaryFile() as output:
        command, began = [sys.executable, *arguments], time.monotonic()
        process = subprocess.Popen(command, cwd=PROJECT / "container", env=environment, stdout=output)
        program = Program(process, began, Path(output.name), url)
        try:
            yield program
        finally:
            program.end()


@dataclass(frozen=True)
class Scratch:
    """What one consumer works on; its environment is that of the stack's own tasks but for the names."""

    stack: Stack
    table: str
    queue: str
    environment: Mapping[str, str]

    @contextmanager
    def consumer(self, **environment: str) -> Iterator[Program]:
        """A consumer, from its start on."""
        port = str(free_port())
        given = {**self.environment, "STATECAST_PORT": port, **environment}
        with running(given, "-m", "consumer", url=f"http://{HOST}:{port}") as program:
            yield program

    def send(self, messages: int, version: int) -> None:
        """Fill the queue with changes, each of a version of its own, as SNS sends them."""
        sqs = self.stack.client("sqs")
        for first in range(version, version + messages, 10):
            bodies = [self.body(one) for one in range(first, first + 10)]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    def body(self, version: int) -> str:
        """A change of an item."""
        item = item_of(version % ITEMS, version)
        record = {
            "eventName": "MODIFY",
            "eventSourceARN": f"arn:aws:dynamodb:{self.stack.region}:0:table/{self.table}/stream/0",
            "dynamodb": {"Keys": {"id": item["id"]}, "NewImage": item, "OldImage": item},
        }
        stamp, attributes = time.strftime("%FT%T.000Z", time.gmtime()), {"forwarder": {"Value": "lambda"}}
        told = {"Message": json.dumps(record), "Timestamp": stamp, "MessageAttributes": attributes}
        return json.dumps(told)

    def drained(self) -> bool:
        """Whether no message is left, in the queue or in hands."""
        names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible")]
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return not any(int(count) for count in answer["Attributes"].values())


@contextmanager
def own_table(stack: Stack, name: str, key: str = "id", **settings: Any) -> Iterator[Mapping[str, Any]]:
    """A table until the end; its description."""
    dynamodb = stack.client("dynamodb")
    made = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **settings,
    )
    try:
        yield made["TableDescription"]
    finally:
        dynamodb.delete_table(TableName=name)


@contextmanager
def subscribed(stack: Stack, topic: str, name: str = NAME) -> Iterator[str]:
    """A queue that takes what a topic publishes, until the end; its URL."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    own = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    try:
        yield queue
    finally:
        sns.unsubscribe(SubscriptionArn=own)
        sqs.delete_queue(QueueUrl=queue)


@contextmanager
def scratch(stack: Stack, items: int = ITEMS) -> Iterator[Scratch]:
    """Tables, one with so many items, and a queue."""
    dynamodb, sqs, metadata = stack.client("dynamodb"), stack.client("sqs"), MetadataServer()
    table, leases = f"{NAME}-state", f"{NAME}-leases"
    with ExitStack() as undo:
        undo.enter_context(own_table(stack, table))
        undo.enter_context(own_table(stack, leases, "slot"))
        for first in range(0, items, 25):
            puts = [{"PutRequest": {"Item": item_of(n, 1)}} for n in range(first, min(first + 25, items))]
            if dynamodb.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]:
                raise ExperimentError(f"table {table} did not take all items")
        queue = sqs.create_queue(QueueName=NAME)["QueueUrl"]
        undo.callback(sqs.delete_queue, QueueUrl=queue)
        metadata.start()
        undo.callback(metadata.stop)
        environment, definition = of_tasks(stack)
        own = {
            "STATECAST_TABLE": table,
            "STATECAST_LEASES_TABLE": leases,
            "STATECAST_VARIANTS": json.dumps(["lambda"]),
            "STATECAST_SLOTS": "1",
            "STATECAST_SLOT_QUEUE_URLS": json.dumps([queue]),
            "STATECAST_LEASE_SECONDS": "60",
            # Nobody forwards this table's stream, and no consumer should miss its watermarks here.
            "STATECAST_WATERMARK_SECONDS": "3600",
            "ECS_CONTAINER_METADATA_URI_V4": metadata.add(
                {"taskArn": "arn:aws:ecs:eu-south-1:0:task/speed/1", "clusterArn": "speed"}, definition
            ),
        }
        yield Scratch(stack, table, queue, {**environment, **own})


def of_tasks(stack: Stack) -> tuple[dict[str, str], Any]:
    """The environment of the stack's tasks as their definition and the agent give it, and the definition."""
    of, ecs = stack.outputs, stack.client("ecs")
    service = ecs.describe_services(cluster=of.cluster, services=[of.service])["services"][0]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    given = {one["name"]: one["value"] for one in definition["containerDefinitions"][0]["environment"]}
    account = {"AWS_ENDPOINT_URL": stack.endpoint or "", "AWS_DEFAULT_REGION": stack.region}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return {"PATH": os.environ["PATH"], **given, **account, **credentials}, definition


def item_of(number: int, version: int) -> dict[str, Any]:
    """An item of 300 bytes of JSON."""
    return {"id": {"S": f"{number:08}"}, "version": {"N": str(version)}, "value": {"S": "x" * 232}}
