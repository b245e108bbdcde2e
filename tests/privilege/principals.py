"""Who there is: the program's roles, and others of the same account. One more is one more entry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Statements = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Principal:
    """Someone who calls AWS."""

    purpose: str
    role: str = ""  # its role's name in the program
    policy: Callable[[str], Statements] | None = None  # without a role: what it may do, given the table's ARN


def writer(table_arn: str) -> Statements:
    """What a program that changes items needs, as docs/privileges.md tells it."""
    return [
        {
            "Effect": "Allow",
            "Action": ["dynamodb:UpdateItem", "dynamodb:DeleteItem"],
            "Resource": table_arn,
            "Condition": {"ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": ["statecast:*"]}},
        }
    ]


def much(_table_arn: str) -> Statements:
    """What only a resource's own policy can refuse."""
    return [{"Effect": "Allow", "Action": ["sns:*", "sqs:*", "kms:*", "sts:AssumeRole"], "Resource": "*"}]


PRINCIPALS: Mapping[str, Principal] = {
    "task": Principal(
        "Holds the table: takes a slot, reads its queue and the table.", role="statecast-tasks-role"
    ),
    "agent": Principal("ECS, while it starts a task's container.", role="statecast-tasks-execution-role"),
    "lambda": Principal("The Lambda forwarder.", role="statecast-lambda-role"),
    "pipe": Principal("The Pipe forwarder.", role="statecast-pipe-role"),
    "redriver": Principal("Publishes once more what the forwarders gave up.", role="statecast-redriver-role"),
    "reaper": Principal("Archives dead letters and stops sick tasks.", role="statecast-reaper-role"),
    "api": Principal(
        "The function behind the write API of a laptop's stack.", role="statecast-api-function-role"
    ),
    "writer": Principal("A program of yours that changes items.", policy=writer),
    "neighbour": Principal(
        "Another program of the account, which may use all queues, topics, keys and roles that let it.",
        policy=much,
    ),
    "stranger": Principal("A user of the account who was given nothing.", policy=lambda _: []),
}
