"""Each fault: how it begins, what it hits, how it ends. Nothing in the product knows of it."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from bench.errors import ExperimentError
from bench.faults.checker import Excuse
from bench.faults.proxy import Proxy
from bench.faults.schedule import MALFORMED_MESSAGES, ONE_CUT, PUSH_CUT, THROWS
from bench.fleet import Lease, live_leases
from bench.stack import Stack
from bench.writer import now_ms
from local.stack import LocalStack

RETRY_S = 8.0
"""What failed may succeed as late as this after it could: the consumer's longest delay, and the call."""
EXPIRY_S = 6.0
"""How long the lease of a task that was killed goes on."""
HIDDEN_S = 10.0
"""What a lost answer held is hidden for the visibility timeout, and may be lost once more."""
CUT = {"response": {"abort_bytes": 0}}
"""The call is made, its answer lost."""
MALFORMED = 50
TRIES = 200
"""How often to look for a batch in a task's hands before it is killed anyway."""


@dataclass(frozen=True)
class System:
    """A stack on this machine whose tasks and function make their calls through the proxy."""

    stack: Stack
    local: LocalStack
    proxy: Proxy

    def ready(self) -> list[Lease]:
        """The leases of ready tasks."""
        found = live_leases(self.stack.client("dynamodb"), self.stack.outputs.leases_table)
        return [lease for lease in found if lease.ready]

    def pids(self) -> dict[str, int]:
        """The process of each task."""
        return {task["taskArn"]: task["pid"] for task in self.local.status()["tasks"]}

    def depth(self, queue: str, of: str = "") -> int:
        """How many messages a queue holds: visible ones, or those `of` another state."""
        name = f"ApproximateNumberOfMessages{of}"
        answer = self.stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def set_service(self, **changes: Any) -> None:
        """Change the service."""
        of = self.stack.outputs
        self.stack.client("ecs").update_service(cluster=of.cluster, service=of.service, **changes)

    def service(self) -> Any:
        """The service as it is."""
        of, ecs = self.stack.outputs, self.stack.client("ecs")
        return ecs.describe_services(cluster=of.cluster, services=[of.service])["services"][0]

    def new_definition(self, environment: dict[str, str]) -> str:
        """Register the service's task definition anew, with more environment; its ARN."""
        ecs = self.stack.client("ecs")
        now = ecs.describe_task_definition(taskDefinition=self.service()["taskDefinition"])["taskDefinition"]
        known = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
        for container in now["containerDefinitions"]:
            given = {one["name"]: one["value"] for one in container["environment"]} | environment
            container["environment"] = [{"name": name, "value": value} for name, value in given.items()]
        asked = {name: value for name, value in now.items() if name in known and value}
        return ecs.register_task_definition(**asked)["taskDefinition"]["taskDefinitionArn"]


@dataclass
class Hit:
    """What a fault hit: `tasks` (none named: all), and when it was over, if before the strike's end."""

    note: str
    tasks: list[str] = field(default_factory=list[str])
    over_ms: int | None = None


Inject = Callable[[System, Random], AbstractContextManager[Hit]]


@contextmanager
def forwarder_cut(system: System, variant: str) -> Iterator[None]:
    """A forwarder stops reading the stream, and goes on where it was."""
    stream, client = system.stack.outputs.stream_arn, system.stack.client
    if variant == "lambda":
        functions = client("lambda")
        (mapping,) = functions.list_event_source_mappings(EventSourceArn=stream)["EventSourceMappings"]
        switch = partial(functions.update_event_source_mapping, UUID=mapping["UUID"])
        stop, start = partial(switch, Enabled=False), partial(switch, Enabled=True)
    else:
        pipes = client("pipes")
        (name,) = (pipe["Name"] for pipe in pipes.list_pipes()["Pipes"] if pipe["Source"] == stream)
        stop, start = partial(pipes.stop_pipe, Name=name), partial(pipes.start_pipe, Name=name)
    stop()
    try:
        yield
    finally:
        start()


@contextmanager
def push_cut(system: System, _: Random) -> Iterator[Hit]:
    """No forwarder reads the stream."""
    with ExitStack() as cuts:
        for variant in system.stack.outputs.variants:
            cuts.enter_context(forwarder_cut(system, variant))
        yield Hit(" and ".join(system.stack.outputs.variants))


@contextmanager
def one_forwarder_cut(system: System, random: Random) -> Iterator[Hit]:
    """One forwarder stops reading the stream."""
    variant = random.choice(system.stack.outputs.variants)
    with forwarder_cut(system, variant):
        yield Hit(variant)


@contextmanager
def killed(system: System, random: Random) -> Iterator[Hit]:
    """SIGKILL to a task that has received messages and not yet deleted them."""
    lease, pid = _victim(system, random)
    queue, in_hand = system.stack.outputs.slots[int(lease.slot)]["queueUrl"], 0
    for _ in range(TRIES):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.02)  # for a call that is under way to end
        if in_hand := system.depth(queue, "NotVisible"):
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    yield Hit(f"slot {lease.slot}, {in_hand} messages in hand", [lease.task], now_ms())


@contextmanager
def paused(system: System, random: Random) -> Iterator[Hit]:
    """SIGSTOP to a task for longer than its lease, then SIGCONT."""
    lease, pid = _victim(system, random)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield Hit(f"slot {lease.slot}", [lease.task])
    finally:
        with suppress(ProcessLookupError):  # another fault has ended it
            os.kill(pid, signal.SIGCONT)


@contextmanager
def restarted(system: System, random: Random) -> Iterator[Hit]:
    """StopTask: SIGTERM, and the service starts another."""
    lease, _ = _victim(system, random)
    system.stack.client("ecs").stop_task(
        cluster=system.stack.outputs.cluster, task=lease.task, reason="restarted by the fault run"
    )
    yield Hit(f"slot {lease.slot}", [lease.task], now_ms())


@contextmanager
def scaled(system: System, _: Random) -> Iterator[Hit]:
    """Half as many tasks again, then half of those: 8 → 12 → 6."""
    count = system.service()["desiredCount"]
    more, fewer = count * 3 // 2, max(1, count * 3 // 4)
    system.set_service(desiredCount=more)
    try:
        yield Hit(f"{count} → {more} → {fewer}", over_ms=now_ms())
    finally:
        system.set_service(desiredCount=fewer)


@contextmanager
def swapped(system: System, _: Random) -> Iterator[Hit]:
    """A new task definition: all tasks are replaced at once."""
    tasks = [lease.task for lease in system.ready()]
    system.set_service(taskDefinition=system.new_definition({}))
    yield Hit(f"{len(tasks)} tasks", tasks, now_ms())


@contextmanager
def malformed(system: System, random: Random) -> Iterator[Hit]:
    """Messages that no task can apply, of several kinds."""
    outputs, sns = system.stack.outputs, system.stack.client("sns")
    item = {"id": {"S": "malformed"}, "version": {"N": "1"}}
    change: dict[str, Any] = {"Keys": {"id": item["id"]}, "NewImage": item}
    record = {"eventName": "MODIFY", "eventSourceARN": outputs.stream_arn, "dynamodb": change}
    kinds = [
        "not JSON {",
        "[]",
        {**record, "eventSourceARN": "arn:aws:dynamodb:eu-south-1:1:table/another/stream/1"},
        {**record, "eventName": "EXPLODE"},
        {**record, "dynamodb": {**change, "NewImage": {"id": item["id"]}}},
        {**record, "dynamodb": {**change, "NewImage": {**item, "version": {"N": "a lot"}}}},
        {**record, "dynamodb": {**change, "Keys": {"id": {"N": "1"}}}},
        {**record, "eventName": "REMOVE"},
    ]
    for _ in range(MALFORMED):
        kind = random.choice(kinds)
        sns.publish(TopicArn=outputs.topic_arn, Message=kind if isinstance(kind, str) else json.dumps(kind))
    yield Hit(f"{MALFORMED} messages of {len(kinds)} kinds", over_ms=now_ms())


def calls(**rule: Any) -> Inject:
    """Calls through the proxy that end as a rule of microburst's says."""

    @contextmanager
    def inject(system: System, _: Random) -> Iterator[Hit]:
        hit = Hit("")
        with system.proxy.rule(**rule) as hits:
            yield hit
        hit.note = f"{sum(hits)} calls"
        if not hits:
            raise ExperimentError(f"no call was hit by {rule}")

    return inject


def _victim(system: System, random: Random) -> tuple[Lease, int]:
    pids = system.pids()
    lease = random.choice([lease for lease in system.ready() if lease.task in pids])
    return lease, pids[lease.task]


@dataclass(frozen=True)
class Fault:
    """How to inject a fault, and when a task that it hit may be behind; None: never."""

    inject: Inject
    excuse: Excuse | None = None


def failing(service: str, code: str, status: int) -> Fault:
    """Most calls of a service end in an error."""
    error = {"code": code, "status": status}
    return Fault(calls(service=service, probability=0.7, error=error), Excuse(RETRY_S))


INJECTIONS: Mapping[str, Fault] = {
    # Polling has to have begun 15 s after the cut, and to keep up from then on; then the backlog comes.
    PUSH_CUT: Fault(push_cut, Excuse(10, first_s=15)),
    ONE_CUT: Fault(one_forwarder_cut),
    THROWS: Fault(
        calls(service="sns", operation="PublishBatch", error={"code": "InternalError", "status": 500})
    ),
    # The client takes the answer for lost and publishes again: two copies.
    "Publish cut": Fault(calls(service="sns", operation="PublishBatch", probability=0.5, **CUT)),
    "task killed": Fault(killed, Excuse(EXPIRY_S)),
    "task paused": Fault(paused, Excuse(0)),
    "task restarted": Fault(restarted, Excuse(0)),
    "service scaled": Fault(scaled),
    "definition swapped": Fault(swapped),
    # What was received comes after what was sent later.
    "ReceiveMessage cut": Fault(
        calls(service="sqs", operation="ReceiveMessage", probability=0.5, **CUT), Excuse(HIDDEN_S)
    ),
    "SQS throttled": failing("sqs", "RequestThrottled", 400),
    "SQS fails": failing("sqs", "InternalFailure", 500),
    "DynamoDB throttled": failing("dynamodb", "ProvisionedThroughputExceededException", 400),
    "DynamoDB fails": failing("dynamodb", "InternalServerError", 500),
    MALFORMED_MESSAGES: Fault(malformed),
}
