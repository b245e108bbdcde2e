"""The spine on a real emulator: table → both forwarders → topic → slots → consumers as real processes."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from local.emulator import free_port
from tests.emulation import eventually, running_emulator

ROOT = Path(__file__).parents[2]
REGION = "eu-south-1"
ROLE = "arn:aws:iam::000000000000:role/any"
LONG_POLL_SECONDS = 20
VISIBILITY_TIMEOUT_SECONDS = 1
MAX_RECEIVES = 5
WATERMARK_SECONDS = 2


class Consumer:
    """One consumer as a process, with an ECS metadata endpoint of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.arn = arn = f"arn:aws:ecs:{REGION}:000000000000:task/fleet/{uuid4().hex}"

        class Metadata(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                drift = {"ClockErrorBound": 0.556966, "ClockSynchronizationStatus": "SYNCHRONIZED"}
                body = json.dumps({"TaskARN": arn, "ClockDrift": drift}).encode()
                self.send_response(200 if self.path == "/v4/task" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
        threading.Thread(target=self._metadata.serve_forever, daemon=True).start()
        self.port = free_port()
        self.environment = environment | {
            "STATECAST_PORT": str(self.port),
            "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{self._metadata.server_port}/v4",
        }
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "consumer"],
                cwd=ROOT / "container",
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            assert self.process.poll() is None, self.output()
            return 0, b"{}"

    def json(self, path: str) -> Any:
        return json.loads(self.get(path)[1])

    def ready(self) -> "Consumer":
        eventually(lambda: self.get("/readyz")[0] == 200, "ready")
        return self

    def output(self) -> str:
        return self._log.read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def stop(self) -> int:
        """SIGTERM; the exit status. Half a long poll is all that it may take."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONG_POLL_SECONDS / 2)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._metadata.shutdown()
        self._metadata.server_close()


class Spine:
    """One table with its forwarders, topic and slots, made anew with names of its own."""

    def __init__(self, endpoint: str, folder: Path, slots: int) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self._consumers: list[Consumer] = []
        self.name = f"spine-{uuid4().hex[:8]}"
        self.variants: list[str] = []
        self.leases_table = f"{self.name}-leases"
        self.dynamodb = self.client("dynamodb")
        self.sqs = self.client("sqs")
        self.sns = self.client("sns")
        for table, key, stream in ((self.name, "id", True), (self.leases_table, "slot", False)):
            self.dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
                if stream
                else {"StreamEnabled": False},
            )
        self.topic = self.sns.create_topic(Name=self.name)["TopicArn"]
        self._subscriptions: list[str] = []
        self.queues: list[str] = []
        self.dlqs: list[str] = []
        for number in range(slots):
            self._make_slot(f"{self.name}-{number:02}")
        self._lambda = self.client("lambda")
        self._pipes = self.client("pipes")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _make_slot(self, name: str) -> None:
        dlq = self.sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        redrive = {"deadLetterTargetArn": self._arn(dlq), "maxReceiveCount": MAX_RECEIVES}
        queue = self.sqs.create_queue(
            QueueName=name,
            Attributes={
                "VisibilityTimeout": str(VISIBILITY_TIMEOUT_SECONDS),
                "RedrivePolicy": json.dumps(redrive),
            },
        )["QueueUrl"]
        self._subscriptions.append(self._subscribe(queue))
        self.queues.append(queue)
        self.dlqs.append(dlq)

    def _subscribe(self, queue: str) -> str:
        arn = self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self._arn(queue))
        return arn["SubscriptionArn"]

    def cut(self) -> None:
        """No change reaches any queue."""
        for subscription in self._subscriptions:
            self.sns.unsubscribe(SubscriptionArn=subscription)

    def mend(self) -> None:
        self._subscriptions = [self._subscribe(queue) for queue in self.queues]

    def end_pipe(self) -> None:
        self._pipes.delete_pipe(Name=self.name)

    def _arn(self, queue: str) -> str:
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    @property
    def stream(self) -> str:
        return self.dynamodb.describe_table(TableName=self.name)["Table"]["LatestStreamArn"]

    def forward_by_lambda(self) -> None:
        self.variants.append("lambda")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as files:
            files.write(ROOT / "functions" / "forwarder" / "handler.py", "handler.py")
        self._lambda.create_function(
            FunctionName=self.name,
            Runtime="python3.13",
            Role=ROLE,
            Handler="handler.handle",
            Code={"ZipFile": archive.getvalue()},
            Environment={"Variables": {"TOPIC_ARN": self.topic, "PARTIAL_FAILURE": "raise"}},
        )
        self._lambda.create_event_source_mapping(
            EventSourceArn=self.stream,
            FunctionName=self.name,
            StartingPosition="TRIM_HORIZON",
            BatchSize=100,
        )

    def forward_by_pipe(self) -> None:
        self.variants.append("pipe")
        self._pipes.create_pipe(
            Name=self.name,
            RoleArn=ROLE,
            Source=self.stream,
            SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}},
            Target=self.topic,
        )

    def forward_by_bus(self) -> None:
        """All of it but the pipe before it, which the emulator does not run."""
        self.variants.append("bus")
        events = self.client("events")
        events.create_event_bus(Name=self.name)
        pattern = {"source": ["statecast"], "detail-type": ["change"]}
        events.put_rule(Name=self.name, EventBusName=self.name, EventPattern=json.dumps(pattern))
        events.put_targets(
            Rule=self.name, EventBusName=self.name, Targets=[{"Id": "topic", "Arn": self.topic}]
        )

    def put_on_the_bus(self, record: dict[str, Any]) -> None:
        """In the pipe's stead."""
        entry = {
            "EventBusName": self.name,
            "Source": "statecast",
            "DetailType": "change",
            "Detail": json.dumps(record),
        }
        assert self.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

    def write(self, item_id: str, **attributes: Any) -> int:
        """A write as every writer makes it; its version."""
        now = int(time.time() * 1000)
        names = {f"#{name}": name for name in attributes}
        answer = self.dynamodb.update_item(
            TableName=self.name,
            Key={"id": {"S": item_id}},
            UpdateExpression="SET version = if_not_exists(version, :now) + :one, writtenAt = :now"
            + "".join(f", #{name} = :{name}" for name in attributes),
            ExpressionAttributeValues={
                ":now": {"N": str(now)},
                ":one": {"N": "1"},
                **{f":{name}": value for name, value in attributes.items()},
            },
            ReturnValues="ALL_NEW",
            **({"ExpressionAttributeNames": names} if names else {}),
        )
        return int(answer["Attributes"]["version"]["N"])

    def delete(self, item_id: str) -> None:
        self.dynamodb.delete_item(TableName=self.name, Key={"id": {"S": item_id}})

    def leases(self) -> dict[str, Any]:
        return {item["slot"]["S"]: item for item in self.dynamodb.scan(TableName=self.leases_table)["Items"]}

    def environment(self, **changes: str) -> dict[str, str]:
        """A task's, for the forwarders that there are so far; without any, it polls."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "STATECAST_TABLE": self.name,
            "STATECAST_LEASES_TABLE": self.leases_table,
            "STATECAST_VARIANTS": json.dumps(self.variants or ["poll"]),
            "STATECAST_SLOTS": str(len(self.queues)),
            "STATECAST_SLOT_QUEUE_URLS": json.dumps(self.queues if self.variants else []),
            "STATECAST_LONG_POLL_SECONDS": str(LONG_POLL_SECONDS),
            "STATECAST_VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_TIMEOUT_SECONDS),
            "STATECAST_SLOT_RETENTION_SECONDS": "300",
            "STATECAST_MAX_RECEIVES": str(MAX_RECEIVES),
            "STATECAST_LEASE_SECONDS": "6",
            "STATECAST_WATERMARK_SECONDS": str(WATERMARK_SECONDS),
            "STATECAST_RESCAN_SECONDS": "900",
            **changes,
        }

    def consumer(self, **changes: str) -> Consumer:
        log = self._folder / f"consumer-{len(self._consumers)}.log"
        consumer = Consumer(self.environment(**changes), log)
        self._consumers.append(consumer)
        return consumer

    def end(self) -> None:
        for consumer in self._consumers:
            consumer.end()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an emulator of AWS."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator.account.endpoint


@pytest.fixture
def make_spine(emulator: str, tmp_path: Path) -> Iterator[Callable[..., Spine]]:
    """Make a spine with so many slots."""
    made: list[Spine] = []

    def make(slots: int = 2) -> Spine:
        made.append(Spine(emulator, tmp_path, slots))
        return made[-1]

    yield make
    for spine in made:
        spine.end()
