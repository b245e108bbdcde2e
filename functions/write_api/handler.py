"""The write API's function: the same writes that its resolvers make straight on the table."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer

OURS = ("id", "version", "writtenAt", "traceparent")
LATEST = 2**53 - 1
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

TABLE = os.environ["TABLE"]

dynamodb: Any = boto3.client("dynamodb")
serialize: Callable[[Any], Any] = TypeSerializer().serialize


class RefusedError(Exception):
    """What the caller gave is not allowed; the message says what."""


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 (Lambda's signature)
    """Do what a field of the schema says, with its arguments: its answer, or why it is refused."""
    try:
        if event["arguments"]["id"].startswith("statecast:"):
            raise RefusedError(
                f"'{event['arguments']['id']}': ids that begin with statecast: are the system's"
            )
        return {"answer": FIELDS[event["field"]](**event["arguments"])}
    except RefusedError as refused:
        return {"refused": str(refused)}


def put(
    id: str,  # noqa: A002 (the schema's name)
    attributes: Any,
    writtenAt: float | None = None,  # noqa: N803
    traceparent: str | None = None,
) -> dict[str, Any]:
    """Merge attributes into an item, or make it."""
    # The API's own clock is the version's floor: a client's that is behind could hide a recreated item.
    now = time.time_ns() // 1_000_000
    written_at = now if writtenAt is None else writtenAt
    if not (0 <= written_at <= LATEST and written_at % 1 == 0):
        raise RefusedError("writtenAt is not a whole number of Unix milliseconds")
    if traceparent and not TRACEPARENT.fullmatch(traceparent):
        raise RefusedError("traceparent is not a W3C trace context")
    names = {f"#{name}": name for name in OURS[1:]}
    values: dict[str, Any] = {":now": now, ":one": 1, ":writtenAt": int(written_at)}
    to_set = ["#version = if_not_exists(#version, :now) + :one", "#writtenAt = :writtenAt"]
    to_remove: list[str] = []
    if traceparent:
        to_set.append("#traceparent = :traceparent")
        values[":traceparent"] = traceparent
    else:
        to_remove.append("#traceparent")  # it would be the previous write's
    for number, (name, value) in enumerate(_parsed(attributes).items()):
        if name in OURS:
            raise RefusedError(f"attributes names {name}, which is the system's")
        names[f"#{number}"] = name
        if value is None:
            to_remove.append(f"#{number}")
        else:
            to_set.append(f"#{number} = :{number}")
            values[f":{number}"] = value
    expression = f"SET {', '.join(to_set)}"
    if to_remove:
        expression += f" REMOVE {', '.join(to_remove)}"
    answer = dynamodb.update_item(
        TableName=TABLE,
        Key={"id": {"S": id}},
        UpdateExpression=expression,
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={name: serialize(value) for name, value in values.items()},
        ReturnValues="ALL_NEW",
    )
    return {"id": id, "version": int(answer["Attributes"]["version"]["N"])}


def delete(id: str) -> dict[str, Any] | None:  # noqa: A002
    """Delete an item: one version above its last; None where there was none."""
    answer = dynamodb.delete_item(TableName=TABLE, Key={"id": {"S": id}}, ReturnValues="ALL_OLD")
    deleted = answer.get("Attributes")
    return {"id": id, "version": int(deleted["version"]["N"]) + 1} if deleted else None


def version(id: str) -> int | None:  # noqa: A002
    """The version of an item, or None where there is none."""
    answer = dynamodb.get_item(TableName=TABLE, Key={"id": {"S": id}}, ConsistentRead=True)
    return int(answer["Item"]["version"]["N"]) if "Item" in answer else None


FIELDS: Mapping[str, Callable[..., Any]] = {"put": put, "delete": delete, "version": version}


def _parsed(attributes: Any) -> dict[str, Any]:
    # AppSync itself has parsed what is AWSJSON; an emulator may leave it as text.
    text = attributes if isinstance(attributes, str) else json.dumps(attributes)
    try:
        parsed = json.loads(text, parse_float=Decimal)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise RefusedError("attributes is not a JSON object")
    return parsed
