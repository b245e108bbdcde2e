"""The reaper on an emulator: what it does about what it decided."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from consumer.lease import Lease, SlotLease
from local.emulator import Account
from tests.emulation import running_emulator
from tests.functions.reaper import load

pytestmark = pytest.mark.emulator

OLD = 1_700_000_000_000
FAR = 4_000_000_000_000


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator.account


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass
class World:
    """Slots with their dead-letter queues and leases, tasks, an archive, and the handler."""

    handler: ModuleType
    queues: list[str]
    cluster: str
    definition: str
    tasks: list[str] = field(default_factory=list)

    def call(self, event: dict[str, Any] | None = None) -> None:
        self.handler.handle(event or {"source": "aws.events"}, Context())

    def lease(self, slot: int, **told: Any) -> str:
        """Have a task lease a slot; its ARN."""
        run = self.handler.ecs.run_task(cluster=self.cluster, taskDefinition=self.definition, count=1)
        arn = run["tasks"][0]["taskArn"]
        item = {
            "slot": f"{slot:02}",
            "lease": f"token-{slot}",
            "task": arn,
            "leasedAt": OLD,
            "expiresAt": FAR,
            "poison": [],
            "refusing": [],
            **told,
        }
        serialized = {name: self.handler.serialized(value) for name, value in item.items()}
        self.handler.dynamodb.put_item(TableName=self.handler.LEASES_TABLE, Item=serialized)
        return arn

    def send(self, slot: int, body: str) -> str:
        """Put a letter into a slot's dead-letter queue; its id."""
        sent = self.handler.sqs.send_message(
            QueueUrl=self.queues[slot],
            MessageBody=body,
            MessageAttributes={"forwarder": {"DataType": "String", "StringValue": "lambda"}},
        )
        return sent["MessageId"]

    def waiting(self, slot: int) -> int:
        of = self.handler.sqs.get_queue_attributes(QueueUrl=self.queues[slot], AttributeNames=["All"])
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(of["Attributes"][name]) for name in names)

    def archived(self) -> dict[str, dict[str, Any]]:
        s3, bucket = self.handler.s3, self.handler.ARCHIVE
        keys = [of["Key"] for of in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys}

    def status(self, task: str) -> tuple[str, str]:
        (found,) = self.handler.ecs.describe_tasks(cluster=self.cluster, tasks=[task])["tasks"]
        return found["lastStatus"], found.get("stoppedReason", "")

    def item(self, slot: str) -> dict[str, Any]:
        leases, memory = self.handler.read_leases()
        return memory if slot == "reaper" else leases[slot]


@pytest.fixture
def world(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    name = uuid4().hex[:8]
    sqs, ecs, s3, dynamodb = (account.client(of) for of in ("sqs", "ecs", "s3", "dynamodb"))
    queues = [sqs.create_queue(QueueName=f"{name}-{slot}-dlq")["QueueUrl"] for slot in range(6)]
    handler = load(tmp_path, queues)
    dynamodb.create_table(
        TableName=f"{name}-leases",
        KeySchema=[{"AttributeName": "slot", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "slot", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3.create_bucket(Bucket=f"{name}-archive", CreateBucketConfiguration={"LocationConstraint": "eu-south-1"})
    cluster = ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"]
    definition = ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "main", "image": "none", "command": ["true"]}]
    )["taskDefinition"]["taskDefinitionArn"]
    clients = {"sqs": sqs, "ecs": ecs, "s3": s3, "dynamodb": dynamodb}
    constants = {"LEASES_TABLE": f"{name}-leases", "CLUSTER": cluster, "ARCHIVE": f"{name}-archive"}
    for attribute, value in (clients | constants).items():
        monkeypatch.setattr(handler, attribute, value)
    return World(handler, queues, cluster, definition)


def lines(capture: pytest.CaptureFixture[str], event: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capture.readouterr().out.splitlines()]
    return [line for line in told if line["event"] == event]


def record(item_id: str, version: int, event: str = "MODIFY", *, bus: bool = False) -> str:
    image = "OldImage" if event == "REMOVE" else "NewImage"
    change = {"Keys": {"id": {"S": item_id}}, image: {"version": {"N": str(version)}}}
    told: dict[str, Any] = {"eventName": event, "dynamodb": change}
    if bus:
        told = {"source": "statecast", "detail-type": "change", "detail": told}
    return json.dumps({"MessageId": "sns", "Message": json.dumps(told)})


def test_a_sick_task_s_letters_are_archived_whole_and_the_task_is_stopped_with_the_reason(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sick, well = world.lease(0), world.lease(1)
    message = world.send(0, record("a", 7))
    world.call()
    assert world.waiting(0) == 0
    (line,) = lines(capsys, "stopped")
    assert (line["task"], line["stoppedTasks"]) == (sick, 1)
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "stoppedTasks", "Unit": "Count"}]
    ((key, letter),) = world.archived().items()
    assert key == f"00/{message}.json"
    told = {name: letter[name] for name in ("slot", "why", "change", "task", "leasedAt", "queue")}
    assert told == {
        "slot": "00",
        "why": "sick-task",
        "change": "a at version 7",
        "task": sick,
        "leasedAt": OLD,
        "queue": world.queues[0],
    }
    assert letter["message"]["Body"] == record("a", 7)
    assert letter["message"]["MessageAttributes"]["forwarder"]["StringValue"] == "lambda"
    assert {"SentTimestamp", "ApproximateReceiveCount"} <= letter["message"]["Attributes"].keys()
    assert letter["archivedAt"] > OLD
    assert world.status(sick) == ("STOPPED", "statecast reaper: it did not apply a at version 7")
    assert world.status(well)[0] == "RUNNING"


def test_all_letters_are_archived_however_many(world: World) -> None:
    sent = {world.send(3, "no record") for _ in range(25)}
    world.call()
    assert {letter["message"]["MessageId"] for letter in world.archived().values()} == sent
    assert world.waiting(3) == 0
    assert {letter["why"] for letter in world.archived().values()} == {"no-task"}


def test_a_letter_that_cannot_be_archived_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sick = world.lease(0)
    world.send(0, record("a", 7))
    monkeypatch.setattr(world.handler, "ARCHIVE", "no-such-bucket")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        world.call()
    assert world.waiting(0) == 1
    assert world.status(sick)[0] == "RUNNING"


def test_a_letter_that_an_earlier_run_archived_is_deleted_and_the_archive_left_as_it_is(world: World) -> None:
    message = world.send(2, "no record")
    world.handler.s3.put_object(Bucket=world.handler.ARCHIVE, Key=f"02/{message}.json", Body=b'{"first": 1}')
    world.call()
    assert world.archived() == {f"02/{message}.json": {"first": 1}}
    assert world.waiting(2) == 0


def test_letters_past_the_budget_stay_visible_so_the_alarm_stays(world: World) -> None:
    tasks = [world.lease(slot) for slot in range(3)]
    for slot in range(3):
        world.send(slot, record(f"own {slot}", 7))
    world.call()
    assert [world.status(task)[0] for task in tasks] == ["STOPPED", "RUNNING", "RUNNING"]
    attribute = "ApproximateNumberOfMessages"
    depths = [
        world.handler.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[attribute])["Attributes"][
            attribute
        ]
        for queue in world.queues[:3]
    ]
    assert depths == ["0", "1", "1"]


def test_a_task_that_left_is_not_stopped_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task = world.lease(0)
    world.handler.ecs.stop_task(cluster=world.cluster, task=task, reason="of its own accord")
    world.send(0, record("a", 7))
    world.call()
    world.call()
    assert world.status(task) == ("STOPPED", "of its own accord")
    assert world.waiting(0) == 0


def test_a_task_that_ecs_has_forgotten_is_none(world: World) -> None:
    world.lease(0, task=f"{world.cluster.replace(':cluster/', ':task/')}/{uuid4().hex}")
    world.send(0, record("a", 7))
    world.call()
    assert world.waiting(0) == 0


def test_letters_that_are_to_be_archived_are_one_run_s(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.send(0, "no record")
    with monkeypatch.context() as patch:
        patch.setattr(world.handler, "archive", lambda *_: None)
        world.call()
    world.call()
    assert (world.archived(), world.waiting(0)) == ({}, 1)


def test_a_letter_that_another_run_deletes_is_no_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.send(0, "no record")
    world.send(0, "no record either")
    keep = world.handler.keep

    def beside_a_rival(*letter: Any) -> None:
        keep(*letter)
        message = letter[-1]
        world.handler.sqs.delete_message(QueueUrl=world.queues[0], ReceiptHandle=message["ReceiptHandle"])

    monkeypatch.setattr(world.handler, "keep", beside_a_rival)
    world.call()
    assert (len(world.archived()), world.waiting(0)) == (2, 0)


def test_two_runs_at_a_time_share_one_budget(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [world.lease(slot) for slot in range(2)]
    for slot in range(2):
        world.send(slot, record(f"own {slot}", 7))
    remember: Callable[..., bool] = world.handler.remember

    def after_a_rival(memory: Any, revision: int) -> bool:
        if revision == 0:
            rival = world.handler.Memory({tasks[1]: world.handler.now_ms()}, {})
            assert remember(rival, 0)
        return remember(memory, revision)

    monkeypatch.setattr(world.handler, "remember", after_a_rival)
    world.call()
    assert [world.status(task)[0] for task in tasks] == ["RUNNING", "STOPPED"]
    assert set(world.item("reaper")["stopped"]) == {tasks[1]}


def test_a_poison_message_stops_nobody_and_is_a_metric(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "not a stream record"
    shown = {"id": None, "version": None, "published": None, "sentAt": OLD, "reason": reason}
    tasks = [world.lease(slot, refusing=[{"message": f"m{slot}", **shown}]) for slot in range(3)]
    world.send(0, "no record")
    # It is the first of them to give it up, and its lease has it by the message's id.
    message = world.send(1, "no record")
    world.lease(1, task=tasks[1], refusing=[{"message": message, **shown}])
    world.call()
    assert [world.status(task)[0] for task in tasks] == ["RUNNING"] * 3
    assert {letter["why"] for letter in world.archived().values()} == {"poison-message"}
    (line,) = lines(capsys, "poison message")
    assert (line["changes"], line["poisonMessages"], line["table"]) == ([reason], 1, "state")
    world.send(2, "no record")
    world.call()
    assert world.waiting(2) == 0, "with its own memory in the table it goes on"
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["table"]]
    assert directive["Metrics"] == [{"Name": "poisonMessages", "Unit": "Count"}]


def test_messages_that_are_more_than_leases_tell_of_stop_nobody_and_are_remembered(world: World) -> None:
    shown = [
        {"message": f"m{of}", "id": None, "version": None, "published": f"{of}", "sentAt": OLD, "reason": ""}
        for of in range(50)
    ]
    tasks = [world.lease(slot, refusing=shown) for slot in range(2)]
    sent = {world.send(0, f"no record {of}") for of in range(12)}
    began = world.handler.now_ms()
    world.call()
    assert [world.status(task)[0] for task in tasks] == ["RUNNING"] * 2
    archived = world.archived().values()
    assert {(letter["message"]["MessageId"], letter["why"]) for letter in archived} == {
        (message, "poison-message") for message in sent
    }
    assert world.handler.memory_of(world.item("reaper")).flooded_at >= began


def test_each_run_counts_the_tasks_those_that_tell_the_digest_that_most_tell_and_those_that_are_unready(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for slot, digest in enumerate(("aa", "bb", "bb")):
        world.lease(slot, digest=digest, ready=True, cannotRead=False)
    world.lease(3, digest="bb", ready=False, cannotRead=True, expiresAt=OLD)
    # One has not read the table, and one cannot read it again.
    world.lease(4, digest="0", ready=False, cannotRead=False)
    world.lease(5, digest="bb", ready=True, cannotRead=True)
    world.call()
    (line,) = lines(capsys, "fleet")
    names = ("tasks", "tasksAtDigest", "unreadyTasks", "table")
    assert tuple(line[name] for name in names) == (5, 3, 2, "state")
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == list(names[:3])


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (record("a", 7), "a at version 7"),
        (record("a", 7, "REMOVE"), "a at version 8"),
        (record("a", 7, bus=True), "a at version 7"),
        ('{"MessageId": "sns"}', "message sns"),
        ("[]", "a message like 4f53cda18c2baa0c"),
    ],
)
def test_a_letter_names_its_change_and_copies_of_one_message_are_the_same(
    world: World, body: str, change: str
) -> None:
    world.send(0, body)
    world.send(1, body)
    world.call()
    assert [letter["change"] for letter in world.archived().values()] == [change, change]


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ({"id": "a", "version": 7, "published": "sns"}, "a at version 7"),
        ({"id": "a", "version": None, "published": "sns"}, "message sns"),
        ({"id": None, "version": None, "published": None}, "no reason"),
    ],
)
def test_a_lease_names_a_change_as_a_letter_does(world: World, told: dict[str, Any], change: str) -> None:
    sick = world.lease(0, poison=[{"message": "m", "sentAt": OLD, "reason": "no reason", **told}])
    world.lease(1)
    world.call()
    assert world.status(sick) == ("STOPPED", f"statecast reaper: it did not apply {change}")


def stopped(task: str) -> dict[str, Any]:
    return {"detail-type": "ECS Task State Change", "detail": {"taskArn": task, "lastStatus": "STOPPED"}}


def test_the_lease_of_a_task_that_died_is_released_and_the_slot_can_be_had(world: World) -> None:
    dead, other = world.lease(0), world.lease(1)
    world.call(stopped(dead))
    item = world.item("00")
    assert item.keys() & {"lease", "expiresAt"} == set()
    assert (item["task"], item["ready"]) == (dead, False)
    assert world.item("01")["task"] == other and "lease" in world.item("01")
    free = SlotLease("00", freed_at=int(item["freedAt"]))
    taken = Lease(world.handler.dynamodb, world.handler.LEASES_TABLE, "00", seconds=30)
    assert taken.acquire(free, "successor")


def test_a_slot_that_somebody_else_has_by_now_is_not_released(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = world.lease(0)
    seen = world.handler.read_leases()
    world.lease(0, lease="the successor's")
    world.call(stopped(dead))
    assert world.item("00")["lease"] == "the successor's"
    with monkeypatch.context() as patch:
        patch.setattr(world.handler, "read_leases", lambda: seen)
        world.call(stopped(dead))
    assert world.item("00")["lease"] == "the successor's"


def test_an_event_of_a_task_without_a_lease_is_none(world: World) -> None:
    world.lease(0)
    world.call(stopped("another"))
    assert "lease" in world.item("00")


def test_a_line_is_written_in_one_piece_since_threads_write_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper, written = load(tmp_path, []), list[str]()
    monkeypatch.setattr(reaper.sys, "stdout", SimpleNamespace(write=written.append))
    reaper.log("event")
    [line] = written
    assert line.endswith("}\n")
