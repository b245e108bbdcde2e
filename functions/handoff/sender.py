"""A: hands one message to B in the way that it is told to, and logs how long that took."""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from line import now_ms, tell

RECEIVER = os.environ["RECEIVER"]
TOPIC_ARN = os.environ["TOPIC_ARN"]
STREAM_ARNS: Mapping[str, str] = json.loads(os.environ["STREAM_ARNS"])

# Never a second try: it would hide in the duration of the first, and could hand the message over twice.
ONCE = Config(retries={"total_max_attempts": 1})
functions = boto3.client("lambda", config=ONCE)
topics = boto3.client("sns", config=ONCE)
streams = boto3.client("kinesis", config=ONCE)

used: set[str] = set()
"""The ways that this environment has gone: the first time, a connection is opened."""


def synchronous(body: str) -> None:
    """Wait until B has handled it."""
    answer = functions.invoke(FunctionName=RECEIVER, Payload=body)
    result = answer["Payload"].read()
    if "FunctionError" in answer:
        raise RuntimeError(f"the receiver failed: {result.decode(errors='replace')}")


def asynchronous(body: str) -> None:
    """Leave it in Lambda's own queue."""
    functions.invoke(FunctionName=RECEIVER, InvocationType="Event", Payload=body)


def by_topic(body: str) -> None:
    """Publish it."""
    topics.publish(TopicArn=TOPIC_ARN, Message=body)


def by_stream(stream_arn: str) -> Callable[[str], None]:
    """Put it into a stream."""
    return lambda body: streams.put_record(
        StreamARN=stream_arn, Data=body.encode(), PartitionKey=secrets.token_hex(8)
    )


WAYS: dict[str, Callable[[str], None]] = {
    "synchronous": synchronous,
    "asynchronous": asynchronous,
    "sns": by_topic,
    **{way: by_stream(arn) for way, arn in STREAM_ARNS.items()},
}


def handle(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 (Lambda's signature)
    """Hand over the message that an order describes: `id`, `way`, `size`, `workMs`, `traceparent`."""
    way, cold = event["way"], event["way"] not in used
    hand_over, span = WAYS[way], child_of(event["traceparent"])
    padding = "x" * event["size"]
    sent_at = now_ms()
    message = {"id": event["id"], "way": way, "workMs": event["workMs"], "sentAt": sent_at}
    body = padded({**message, "traceparent": span}, event["size"], padding)
    began = time.perf_counter()
    hand_over(body)
    operation = round((time.perf_counter() - began) * 1_000, 3)
    used.add(way)
    tell(
        "sent",
        {"operation": operation},
        **message,
        size=len(body),
        cold=cold,
        parent=event["traceparent"],
        traceparent=span,
    )


def child_of(traceparent: str) -> str:
    """The trace context of the operation, within that of its order: https://www.w3.org/TR/trace-context/."""
    version, trace, _, flags = traceparent.split("-")
    return f"{version}-{trace}-{secrets.token_hex(8)}-{flags}"


def padded(message: Mapping[str, object], size: int, padding: str) -> str:
    """The message as JSON of `size` bytes, all ASCII, or of as many as it takes without its padding."""
    head = json.dumps(message, separators=(",", ":"))[:-1] + ',"padding":"'
    return head + padding[: max(0, size - len(head) - 2)] + '"}'
