# ruff: noqa: N803 - boto3's names
"""A stack in memory: every task logs every write, unless a test loses or repeats the line."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from bench.stack import Outputs
from consumer.digest import digest_of

PAGE = 3
"""Events a page: fewer than a run has, so that tokens matter."""
Copies = Callable[[str, str, str, int], int]
"""How many copies of (task, forwarder, id, version) are logged."""


def once(task: str, forwarder: str, item_id: str, version: int) -> int:
    return 1


@dataclass
class PretendStack:
    """Its clients answer as AWS would, in the few calls that bench makes."""

    name: str = "pretend"
    region: str = "eu-south-1"
    outputs: Outputs = field(
        default_factory=lambda: Outputs.model_validate(
            {
                "table": "state",
                "streamArn": "arn:aws:dynamodb:eu-south-1:1:table/state/stream/2026",
                "topicArn": "arn:aws:sns:eu-south-1:1:changes",
                "slots": [{"queueUrl": "queue", "dlqUrl": "dlq", "alarmName": "alarm"}],
                "leasesTable": "leases",
                "cluster": "cluster",
                "service": "service",
                "logGroup": "log-group",
                "variants": ["lambda", "pipe"],
                "apiUrl": "https://abc.appsync-api.eu-south-1.amazonaws.com/graphql",
                "archive": "archive",
            }
        )
    )
    endpoint: str | None = None
    task_count: int = 2
    wanted: int = 2
    copies: Copies = once
    sns_clock_ms: int = 1
    fails: Callable[[str], bool] = lambda item_id: False
    digest: str | None = None
    clock_bounds_ms: tuple[int | None, ...] = ()
    versions: dict[str, int] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tasks = [
            f"arn:aws:ecs:eu-south-1:1:task/cluster/{number:032x}" for number in range(self.task_count)
        ]
        self.lines = {f"consumer/consumer/{task.rsplit('/', 1)[1]}": [] for task in self.tasks}

    def client(self, service: str, attempts: int = 8) -> Any:
        return self

    def log(self, item_id: str, version: int) -> None:
        now = time.time_ns() // 1_000_000
        for task, lines in zip(self.tasks, self.lines.values(), strict=True):
            lines.append("a line that is no JSON")
            for forwarder in self.outputs.variants:
                line = {
                    "event": "delivery",
                    "task": task,
                    "slot": "00",
                    "message": "m",
                    "forwarder": forwarder,
                    "outcome": "applied",
                    "change": "put",
                    "id": item_id,
                    "version": version,
                    "snsAt": now // self.sns_clock_ms * self.sns_clock_ms,
                    "sqsSentAt": now + 2,
                    "sqsFirstReceivedAt": now + 3,
                    "receivedAt": now + 3,
                    "appliedAt": now + 4,
                    "receives": 1,
                }
                lines.extend([json.dumps(line)] * self.copies(task, forwarder, item_id, version))

    def update_item(self, *, Key: Any, ExpressionAttributeValues: Any, **_: Any) -> Any:
        item_id, now = Key["id"]["S"], int(ExpressionAttributeValues[":now"]["N"])
        self._fail(item_id)
        self.versions[item_id] = self.versions.get(item_id, now) + 1
        self.log(item_id, self.versions[item_id])
        return {"Attributes": {"version": {"N": str(self.versions[item_id])}}}

    def delete_item(self, *, Key: Any, **_: Any) -> Any:
        item_id = Key["id"]["S"]
        self._fail(item_id)
        if item_id not in self.versions:
            return {}
        version = self.versions.pop(item_id)
        self.log(item_id, version + 1)
        return {"Attributes": {"version": {"N": str(version)}}}

    def get_paginator(self, operation: str) -> Any:
        return {"scan": _Scan(self), "describe_log_streams": _Streams(self)}[operation]

    def get_log_events(self, *, logStreamName: str, nextToken: str = "0", **_: Any) -> Any:
        start = int(nextToken)
        page = self.lines[logStreamName][start : start + PAGE]
        return {"events": [{"message": line} for line in page], "nextForwardToken": str(start + len(page))}

    def list_event_source_mappings(self, **_: Any) -> Any:
        return {"EventSourceMappings": []}

    def describe_services(self, **_: Any) -> Any:
        return {"services": [{"desiredCount": self.wanted}]}

    def _fail(self, item_id: str) -> None:
        if self.fails(item_id):
            raise ClientError({"Error": {"Code": "Throttled", "Message": "slow down"}}, "UpdateItem")


@dataclass
class _Scan:
    stack: PretendStack

    def paginate(self, *, TableName: str, ConsistentRead: bool) -> Iterable[Any]:
        assert ConsistentRead
        if TableName == "state":
            return [
                {"Items": [{"id": {"S": item_id}, "version": {"N": str(version)}}]}
                for item_id, version in self.stack.versions.items()
            ]
        digest = self.stack.digest or digest_of(self.stack.versions.items())
        now = time.time_ns() // 1_000_000
        held = {
            "lease": {"S": "token"},
            "leasedAt": {"N": str(now - 60_000)},
            "ready": {"BOOL": True},
            "mode": {"S": "push"},
            "items": {"N": str(len(self.stack.versions))},
            "digest": {"S": digest},
            "lag": {"M": {"lambda": {"N": "1234"}}},
        }
        soon = {"N": str(now + 10_000)}
        slots = [
            {"slot": {"S": f"{number:02}"}, "task": {"S": task}, "expiresAt": soon, **held}
            for number, task in enumerate(self.stack.tasks)
        ]
        for slot, bound in zip(slots, self.stack.clock_bounds_ms, strict=False):
            slot["clockErrorBound"] = {"NULL": True} if bound is None else {"N": str(bound)}
        expired = {"slot": {"S": "98"}, "task": {"S": "gone"}, **held, "expiresAt": {"N": "1"}}
        return [{"Items": slots}, {"Items": [expired, {"slot": {"S": "99"}, "freedAt": {"N": "1"}}]}]


@dataclass
class _Streams:
    stack: PretendStack

    def paginate(self, **_: Any) -> Iterable[Any]:
        return [
            {"logStreams": [{"logStreamName": name}]}
            for name in ("consumer/consumer/older", *self.stack.lines)
        ]
