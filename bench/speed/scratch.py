"""A table, its path and a queue for one consumer alone, in the emulator of a local stack."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Thread
from typing import Any

import psutil

from bench.errors import ExperimentError
from bench.faults.proxy import HOST, free_port
from bench.stack import PROJECT, Stack

BARE = Path(__file__).with_name("bare.py")
PATIENCE_S = 120
LOOK_S = 0.01
NAME = "statecast-speed"
BURST_ITEMS = 500
"""Items that bursts change; a scratch table holds them, so that no change needs a read."""


@dataclass(frozen=True)
class Scratch:
    """What one consumer works on; `environment` is that of the stack's own tasks but for the names."""

    stack: Stack
    table: str
    queue: str
    environment: Mapping[str, str]

    def send(self, messages: int, first_version: int) -> None:
        """Fill the queue with changes of the first items, each a new version, as SNS would have sent them."""
        sqs = self.stack.client("sqs")
        for start in range(first_version, first_version + messages, 10):
            versions = range(start, min(start + 10, first_version + messages))
            entries = [{"Id": str(v - start), "MessageBody": self.envelope(v)} for v in versions]
            sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    def envelope(self, version: int) -> str:
        """A change as the topic sends it."""
        item = item_of(version % BURST_ITEMS, version)
        record = {
            "eventName": "MODIFY",
            "eventSourceARN": f"arn:aws:dynamodb:{self.stack.region}:0:table/{self.table}/stream/0",
            "dynamodb": {"Keys": {"id": item["id"]}, "NewImage": item, "OldImage": item},
        }
        attributes = {"forwarder": {"Type": "String", "Value": "lambda"}}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        told = {"Message": json.dumps(record), "Timestamp": stamp, "MessageAttributes": attributes}
        return json.dumps({"Type": "Notification", **told})

    def drained(self) -> bool:
        """Whether no message is left, in the queue or in hands."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return not any(int(count) for count in answer["Attributes"].values())

    @contextmanager
    def consumer(self, **environment: str) -> Iterator["Running"]:
        """The consumer, from its start on."""
        port = str(free_port())
        given = {**self.environment, "STATECAST_PORT": port, **environment}
        with running([sys.executable, "-m", "consumer"], given, f"http://{HOST}:{port}/readyz") as process:
            yield process


@dataclass(frozen=True)
class Running:
    """A process under measurement; `begun` is when it was started, on the monotonic clock."""

    process: "subprocess.Popen[bytes]"
    begun: float
    ready_url: str
    output: Path

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
        """Whether it says that it is ready."""
        try:
            with urllib.request.urlopen(self.ready_url, timeout=1):
                return True
        except OSError:
            return False

    def line(self, event: str = "") -> Any:
        """The first line that it prints, parsed; or the first of an event."""
        while True:
            found = (json.loads(line) for line in self.output.read_text().splitlines())
            for told in found:
                if not event or told["event"] == event:
                    return told
            time.sleep(LOOK_S)

    def end(self) -> float:
        """Tell it to end; the seconds that took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        return time.monotonic() - began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


def bare(environment: Mapping[str, str], *arguments: str) -> AbstractContextManager[Running]:
    """The bare program."""
    return running([sys.executable, str(BARE), *arguments], environment)


@contextmanager
def running(command: list[str], environment: Mapping[str, str], ready_url: str = "") -> Iterator[Running]:
    """A process that is ended at the end."""
    with NamedTemporaryFile() as output:
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=PROJECT / "container", env=environment, stdout=output)
        try:
            yield Running(process, begun, ready_url, Path(output.name))
        finally:
            process.terminate()  # a consumer gives its slot back
            process.wait(PATIENCE_S)


@contextmanager
def scratch(stack: Stack, items: int = BURST_ITEMS) -> Iterator[Scratch]:
    """A table with so many items of 300 bytes, and all that a consumer of it needs."""
    dynamodb, sns, functions = (stack.client(name) for name in ("dynamodb", "sns", "lambda"))
    with ExitStack() as undo:
        table, leases = f"{NAME}-state", f"{NAME}-leases"
        for name, key in ((table, "id"), (leases, "slot")):
            dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            undo.callback(dynamodb.delete_table, TableName=name)
        load(dynamodb, table, items)
        # The stream begins now: what was loaded is not sent.
        view = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        dynamodb.update_table(TableName=table, StreamSpecification=view)
        stream = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        topic = sns.create_topic(Name=NAME)["TopicArn"]
        undo.callback(sns.delete_topic, TopicArn=topic)
        queue = undo.enter_context(subscribed(stack, topic))
        functions.create_function(
            FunctionName=NAME,
            Runtime="python3.13",
            Handler="handler.handle",
            Role="arn:aws:iam::000000000000:role/none",
            Code={"ZipFile": archive(PROJECT / "functions" / "forwarder" / "handler.py")},
            Environment={"Variables": {"TOPIC_ARN": topic, "PARTIAL_FAILURE": "raise"}},
        )
        undo.callback(functions.delete_function, FunctionName=NAME)
        mapping = functions.create_event_source_mapping(
            EventSourceArn=stream, FunctionName=NAME, StartingPosition="TRIM_HORIZON"
        )
        undo.callback(functions.delete_event_source_mapping, UUID=mapping["UUID"])
        metadata = undo.enter_context(task_metadata())
        own = {
            "STATECAST_TABLE": table,
            "STATECAST_LEASES_TABLE": leases,
            "STATECAST_SLOT_QUEUE_URLS": json.dumps([queue]),
            "STATECAST_VARIANTS": json.dumps(["lambda"]),
            "STATECAST_LEASE_SECONDS": "60",
            "ECS_CONTAINER_METADATA_URI_V4": metadata,
        }
        yield Scratch(stack, table, queue, {**task_environment(stack), **own})


@contextmanager
def subscribed(stack: Stack, topic: str) -> Iterator[str]:
    """The URL of a queue that takes what a topic sends."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    queue = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    try:
        yield queue
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=queue)


def task_environment(stack: Stack) -> dict[str, str]:
    """The environment of the stack's tasks, as their task definition and the agent give it."""
    of, ecs = stack.outputs, stack.client("ecs")
    (service,) = ecs.describe_services(cluster=of.cluster, services=[of.service])["services"]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    given = {one["name"]: one["value"] for one in definition["containerDefinitions"][0]["environment"]}
    account = {"AWS_ENDPOINT_URL": stack.endpoint or "", "AWS_DEFAULT_REGION": stack.region}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return {"PATH": os.environ["PATH"], **given, **account, **credentials}


@contextmanager
def task_metadata() -> Iterator[str]:
    """The part of the task metadata endpoint that a consumer asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"TaskARN": "arn:aws:ecs:eu-south-1:0:task/speed/1"}')

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


def item_of(number: int, version: int) -> dict[str, Any]:
    """An item of 300 bytes of JSON."""
    return {"id": {"S": f"{number:08}"}, "version": {"N": str(version)}, "value": {"S": "x" * 230}}


def load(dynamodb: Any, table: str, items: int) -> None:
    """Put so many items of 300 bytes of JSON."""
    for start in range(0, items, 25):
        puts = [{"PutRequest": {"Item": item_of(n, 1)}} for n in range(start, min(start + 25, items))]
        if dynamodb.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]:
            raise ExperimentError(f"table {table} did not take all items")


def archive(module: Path) -> bytes:
    """A Lambda archive of one module."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.write(module, module.name)
    return packed.getvalue()
