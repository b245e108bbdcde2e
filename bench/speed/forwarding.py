"""The Lambda forwarder beside bare programs, and beside itself with batches of one."""

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.faults import proxy
from bench.speed.figure import Figure
from bench.speed.measures import REPETITIONS
from bench.speed.scratch import NAME, item_of, of_tasks, own_table, running, subscribed, wait
from bench.stack import PROJECT, Stack
from bench.statistics import percentile
from bench.writer import now_ms

SOURCE = PROJECT / "functions" / "forwarder"
PROGRAM = str(Path(__file__).with_name("forward.py"))
BATCHES, TURNS = 10, 5
PUTS, WRITERS, MOST, ONE = 200, 4, 100, 1


def handler(stack: Stack) -> Iterator[Figure]:
    """The handler's CPU and calls, by the process."""
    sns = stack.client("sns")
    topic = sns.create_topic(Name=NAME)["TopicArn"]
    environment = of_tasks(stack)[0] | {
        "PYTHONPATH": str(SOURCE),
        "TOPIC_ARN": topic,
        "PARTIAL_FAILURE": "raise",
    }

    def told(*arguments: str, **more: str) -> dict[str, float]:
        with running(environment | more, PROGRAM, *arguments) as program:
            wait(program.told)
            return program.told()

    cpu, imports, clients = list[float](), list[float](), list[float]()
    try:
        for _ in range(TURNS):
            ours, bare = (told(what, topic, str(BATCHES))["cpu_s"] for what in ("handler", "bare"))
            cpu.append(ours / bare)
            ours, bare, client = (told(what)["import_s"] for what in ("handler", "boto3", "client"))
            imports.append(ours / bare)
            clients.append(ours / client)
        with proxy.started(stack.endpoint or "") as through:
            told("handler", topic, str(BATCHES), AWS_ENDPOINT_URL_SNS=through.url)
            calls = through.calls("sns") / BATCHES
    finally:
        sns.delete_topic(TopicArn=topic)
    yield Figure("publish calls per 100 records", [calls], 10)
    yield Figure("forwarder's CPU per record ÷ bare PublishBatch loop's", cpu, 1.2)
    yield Figure("forwarder's import CPU ÷ import boto3's", imports, 1.1, note="its client is made with it")
    yield Figure("the same ÷ import boto3's and a client's", clients, 1.1)


@dataclass(frozen=True)
class Line:
    """A table whose stream a forwarder of its own carries to one queue."""

    stack: Stack
    table: str
    queue: str

    def put(self, number: int) -> int:
        """Make an item; when that began, Unix milliseconds."""
        began = now_ms()
        self.stack.client("dynamodb").put_item(TableName=self.table, Item=item_of(number, 1))
        return began

    def came(self, count: int) -> dict[int, int]:
        """When SQS took the change of each of so many items, Unix milliseconds."""
        sqs, at = self.stack.client("sqs"), dict[int, int]()

        def receive() -> bool:
            answer = sqs.receive_message(
                QueueUrl=self.queue,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            for message in answer.get("Messages", []):
                record = json.loads(json.loads(message["Body"])["Message"])
                at[int(record["dynamodb"]["Keys"]["id"]["S"])] = int(message["Attributes"]["SentTimestamp"])
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            return len(at) >= count

        wait(receive)
        return at


@contextmanager
def line(stack: Stack, batch: int) -> Iterator[Line]:
    """The forwarder's own code behind a mapping of so many records a batch."""
    sns, functions, name = stack.client("sns"), stack.client("lambda"), f"{NAME}-{batch}"
    streams = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    with ExitStack() as undo:
        made = undo.enter_context(own_table(stack, name, StreamSpecification=streams))
        topic = sns.create_topic(Name=name)["TopicArn"]
        undo.callback(sns.delete_topic, TopicArn=topic)
        queue = undo.enter_context(subscribed(stack, topic, name))
        functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="handler.handle",
            Role="arn:aws:iam::000000000000:role/any",
            Code={"ZipFile": _archive()},
            Timeout=30,
            Environment={"Variables": {"TOPIC_ARN": topic, "PARTIAL_FAILURE": "raise"}},
        )
        undo.callback(functions.delete_function, FunctionName=name)
        mapping = functions.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=made["LatestStreamArn"],
            StartingPosition="TRIM_HORIZON",
            BatchSize=batch,
        )["UUID"]
        undo.callback(functions.delete_event_source_mapping, UUID=mapping)
        yield Line(stack, name, queue)


def _archive() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.write(SOURCE / "handler.py", "handler.py")
        return file.getvalue()


def drain(of: Line) -> tuple[float, float]:
    """Put items by four threads; the p99 of put → SQS and the seconds until SQS had all."""
    of.put(-1)
    of.came(1)  # the function's environment has started
    with ThreadPoolExecutor(WRITERS) as writers:
        began = dict(enumerate(writers.map(of.put, range(PUTS))))
    at = of.came(PUTS)
    took = sorted(at[number] - began[number] for number in began)
    return percentile(took, 99) / 1000, (max(at.values()) - min(began.values())) / 1000


def drains(stack: Stack) -> Iterator[Figure]:
    """A burst of puts, by the forwarder's batches and by batches of one, in turn."""
    p99, ratios, seconds = list[float](), list[float](), 0.0
    for _ in range(REPETITIONS):
        with line(stack, MOST) as ours:
            took, seconds = drain(ours)
        with line(stack, ONE) as single:
            _, singly = drain(single)
        p99.append(took)
        ratios.append(singly / seconds)
    note = f"all in SQS after {seconds:.2f} s"
    yield Figure(f"put → SQS p99 of {PUTS} puts by {WRITERS} threads, s", p99, 0.5, note=note)
    yield Figure("its drain ÷ batches of one", ratios, 5, at_least=True)
