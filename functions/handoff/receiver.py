"""B: works as long as a message asks, and logs when it came. It needs no SDK, so it starts without one."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

from line import now_ms, tell

environment = {"cold": True}


def handle(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 (Lambda's signature)
    """Handle what A handed over: a message itself, or the records of a topic or a stream."""
    received_at, cold = now_ms(), environment["cold"]
    environment["cold"] = False
    for message in messages_in(event):
        time.sleep(message["workMs"] / 1_000)
        tell(
            "received",
            {"delivery": round(received_at - message["sentAt"], 3)},
            id=message["id"],
            way=message["way"],
            cold=cold,
            receivedAt=received_at,
            handledAt=now_ms(),
            parent=message["traceparent"],
        )


def messages_in(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of an invocation, whichever way they came."""
    if "Records" not in event:
        yield event
        return
    for record in event["Records"]:
        data = record["Sns"]["Message"] if "Sns" in record else base64.b64decode(record["kinesis"]["data"])
        yield json.loads(data)
