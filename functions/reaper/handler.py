"""The reaper: archives dead letters, stops sick tasks, releases the leases of tasks that died."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config
from botocore.exceptions import ClientError
from decision import LETTERS_SEEN, Decision, Letter, Memory, Slot, Why, decide
from letters import Item, census, change_in, lease_of, plain, reports
from reaper_metrics import NAMESPACE, POISON_MESSAGES, STOPPED_TASKS, TASKS, TASKS_AT_DIGEST, UNREADY_TASKS

# So long a letter that is to be archived is one run's: several alarms at once call as many.
HIDDEN_SECONDS = 30
# A round begins only if there is time for it; what is left then waits for the next minute.
ROUND_MS = 20_000
THREADS = 16
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
DESCRIBED = 100
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
MAX_REASON = 255
MEMORY = "reaper"
STATE_CHANGE = "ECS Task State Change"

TABLE = os.environ["TABLE"]
LEASES_TABLE = os.environ["LEASES_TABLE"]
CLUSTER = os.environ["CLUSTER"]
ARCHIVE = os.environ["ARCHIVE"]
# In a file, since an environment takes no more than 4 KB: the slots' dead-letter queues, slot 00 first.
QUEUES: list[str] = json.loads(Path(__file__).with_name("queues.json").read_text())

# A connection that hangs is tried again before the function ends: boto3 itself waits for a minute.
CONFIG = Config(
    max_pool_connections=THREADS,
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
)

sqs = boto3.client("sqs", config=CONFIG)
s3 = boto3.client("s3", config=CONFIG)
ecs: Any = boto3.client("ecs", config=CONFIG)
dynamodb = boto3.client("dynamodb", config=CONFIG)
serialized = TypeSerializer().serialize

Message = Mapping[str, Any]


class Found(NamedTuple):
    """A slot as it was found, with the messages that its letters are."""

    slot: Slot
    queue: str
    messages: Sequence[Message]


def handle(event: Mapping[str, Any], context: Any) -> None:
    """Release the lease of a task that stopped; on any other event look at all slots."""
    if event.get("detail-type") == STATE_CHANGE:
        release(event["detail"]["taskArn"])
        return
    while reap() and context.get_remaining_time_in_millis() > ROUND_MS:
        pass


def reap() -> bool:
    """Look, decide, carry it out; whether more letters may be waiting.

    It looks twice. The first look hides no letter, since the alarm of one that stays would end. The second
    hides those that do not stay, and what it finds is what counts.
    """
    leases, remembered = read_leases()
    counted = census(leases.values(), now_ms())
    log(
        "fleet",
        **metrics({TASKS: counted.tasks, TASKS_AT_DIGEST: counted.at_digest, UNREADY_TASKS: counted.unready}),
    )
    with ThreadPoolExecutor(THREADS) as threads:
        peeked = list(threads.map(peek, QUEUES))
        found = look(leases, peeked)
        passing = decide([each.slot for each in found], memory_of(remembered), now_ms()).archive
        claimed = threads.map(
            lambda each: receive(each.queue, HIDDEN_SECONDS) if each.slot.name in passing else each.messages,
            found,
        )
        found = look(leases, list(claimed))
        decision = settle([each.slot for each in found], remembered)
        if decision.poison:
            log("poison message", changes=sorted(decision.poison), **metrics({POISON_MESSAGES: 1}))
        for slot in decision.waiting:
            log("waiting", slot=slot)
        archived = [each for each in found if each.slot.name in decision.archive]
        list(threads.map(lambda each: archive(each, decision.archive[each.slot.name]), archived))
    stop(decision.stop)
    return any(len(each.messages) == LETTERS_SEEN for each in archived)


def read_leases() -> tuple[Mapping[str, Item], Item]:
    """The leases by slot, and the reaper's memory, which is an item of the same table."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=LEASES_TABLE, ConsistentRead=True)
    items = [plain(item) for page in pages for item in page["Items"]]
    leases = {item["slot"]: item for item in items}
    return leases, leases.pop(MEMORY, {})


def peek(queue: str) -> Sequence[Message]:
    """Some of the messages in a dead-letter queue, left to be seen."""
    depth = "ApproximateNumberOfMessages"
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[depth])["Attributes"]
    return receive(queue, 0) if found[depth] != "0" else ()


def receive(queue: str, hidden_seconds: int) -> Sequence[Message]:
    """Some of the messages in a dead-letter queue."""
    return sqs.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=LETTERS_SEEN,
        VisibilityTimeout=hidden_seconds,
        # A short poll may miss what there is.
        WaitTimeSeconds=1,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages", ())


def look(leases: Mapping[str, Item], batches: Sequence[Sequence[Message]]) -> list[Found]:
    """The slots with their leases and letters."""
    reported = reports(leases.values())
    found: list[Found] = []
    for number, (queue, messages) in enumerate(zip(QUEUES, batches, strict=True)):
        name = f"{number:02}"
        letters = tuple(
            Letter(change_in(message, reported), int(message["Attributes"]["SentTimestamp"]))
            for message in messages
        )
        found.append(Found(Slot(name, lease_of(leases.get(name, {})), letters), queue, messages))
    return found


def settle(slots: Sequence[Slot], remembered: Item) -> Decision:
    """Decide, and have what was decided in the memory first: so runs at the same time share one budget."""
    while True:
        memory = memory_of(remembered)
        decision = decide(slots, memory, now_ms())
        if decision.memory == memory or remember(decision.memory, int(remembered.get("revision", 0))):
            return decision
        _, remembered = read_leases()


def memory_of(item: Item) -> Memory:
    """The reaper's memory, from its item."""
    return Memory(
        stopped={task: int(at) for task, at in item.get("stopped", {}).items()},
        poison={change: int(at) for change, at in item.get("poison", {}).items()},
        flooded_at=int(item.get("floodedAt", 0)),
    )


def remember(memory: Memory, revision: int) -> bool:
    """Write the memory if it is still as it was read."""
    values = {
        ":seen": revision,
        ":next": revision + 1,
        ":stopped": memory.stopped,
        ":poison": memory.poison,
        ":flooded": memory.flooded_at,
    }
    expression = "SET revision = :next, stopped = :stopped, poison = :poison, floodedAt = :flooded"
    condition = "revision = :seen" if revision else "attribute_not_exists(revision)"
    if not revision:
        del values[":seen"]
    return write(MEMORY, expression, condition, values)


def archive(found: Found, why: Why) -> None:
    """Put a slot's letters into the archive and then, and only then, take them out of their queue."""
    for letter, message in zip(found.slot.letters, found.messages, strict=True):
        keep(found, why, letter, message)
    entries: Any = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(found.messages)
    ]
    # What another run received meanwhile cannot be deleted, and need not be: it is deleted there.
    sqs.delete_message_batch(QueueUrl=found.queue, Entries=entries)


def keep(found: Found, why: Why, letter: Letter, message: Message) -> None:
    """Put one letter into the archive, unless an earlier run did and did not come to delete it."""
    lease = found.slot.lease
    document = {
        "archivedAt": now_ms(),
        "slot": found.slot.name,
        "why": why,
        "change": letter.change,
        "task": lease.task if lease else None,
        "leasedAt": lease.leased_at if lease else None,
        "queue": found.queue,
        "message": {name: value for name, value in message.items() if name != "ReceiptHandle"},
    }
    key = f"{found.slot.name}/{message['MessageId']}.json"
    body = json.dumps(document, default=bytes.hex).encode()
    try:
        s3.put_object(Bucket=ARCHIVE, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
    except ClientError as error:
        if code(error) != "PreconditionFailed":
            raise
    log("archived", slot=found.slot.name, why=why, message=message["MessageId"], change=letter.change)


def stop(tasks: Mapping[str, frozenset[str]]) -> None:
    """Stop tasks, but for those that are leaving or have left."""
    arns = list(tasks)
    for start in range(0, len(arns), DESCRIBED):
        answer = ecs.describe_tasks(cluster=CLUSTER, tasks=arns[start : start + DESCRIBED])
        for task in answer["tasks"]:
            if task["desiredStatus"] == "STOPPED":
                continue
            arn = task["taskArn"]
            changes = ", ".join(sorted(tasks[arn])) or "changes that were archived"
            reason = f"statecast reaper: it did not apply {changes}"[:MAX_REASON]
            ecs.stop_task(cluster=CLUSTER, task=arn, reason=reason)
            log("stopped", task=arn, reason=reason, **metrics({STOPPED_TASKS: 1}))


def release(task: str) -> None:
    """Give back the slot of a task that has ended, unless it did or somebody else has it by now."""
    leases, _ = read_leases()
    for slot, item in leases.items():
        if item.get("task") != task or "lease" not in item:
            continue
        values = {":token": item["lease"], ":now": now_ms(), ":no": False}
        expression = "SET freedAt = :now, ready = :no REMOVE lease, expiresAt"
        if write(slot, expression, "lease = :token", values):
            log("released", slot=slot, task=task)


def write(slot: str, expression: str, condition: str, values: Mapping[str, Any]) -> bool:
    """Update an item of the leases table; False when the condition does not hold."""
    try:
        dynamodb.update_item(
            TableName=LEASES_TABLE,
            Key={"slot": {"S": slot}},
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeValues={name: serialized(value) for name, value in values.items()},
        )
    except ClientError as error:
        if code(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


def code(error: ClientError) -> str:
    """The code of an error that a service answered."""
    return error.response.get("Error", {}).get("Code", "")


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def log(event: str, **fields: Any) -> None:
    """A line of JSON, in one piece: Lambda's `print` writes its end apart, and threads get between."""
    sys.stdout.write(json.dumps({"event": event, "at": now_ms(), "table": TABLE, **fields}) + "\n")


def metrics(values: Mapping[str, int]) -> dict[str, Any]:
    """What makes a log line metrics too (CloudWatch's embedded metric format)."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["table"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
    }
    return {**values, "_aws": {"Timestamp": now_ms(), "CloudWatchMetrics": [directive]}}
