"""What the forwarder's function logged of its invocations: how long each took, and which began cold."""

import json
import re
from dataclasses import dataclass
from typing import Any

from bench.stack import Stack

REPORT = re.compile(r"REPORT RequestId: .*?\tDuration: (?P<took>[\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One of the function. `at` is when it was logged, Unix milliseconds; `ms` is Lambda's Duration.

    `cold`: it was the first of its environment, whose start or restore is not in `ms`.
    """

    at: int
    ms: float
    cold: bool


def duration(line: str) -> float | None:
    """Lambda's Duration, milliseconds, if the line reports it.

    As JSON, which the program's functions log on AWS, or as text:
    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report
    """
    if found := REPORT.match(line):
        return float(found["took"])
    if '"platform.report"' not in line:
        return None
    told: dict[str, Any] = json.loads(line)
    return float(told["record"]["metrics"]["durationMs"])


def invocations(stack: Stack, since_ms: int) -> list[Invocation]:
    """All of the function that reads the table's stream since a moment, in their order; none without one.

    Each environment logs to a stream of its own, so the first report of a new stream is of a cold start. An
    emulator has a stream for each invocation: there nothing is told cold. It gives the first 10,000 lines.
    """
    functions, logs = stack.client("lambda"), stack.client("logs")
    found: list[Invocation] = []
    mappings = functions.list_event_source_mappings(EventSourceArn=stack.outputs.stream_arn)
    for mapping in mappings["EventSourceMappings"]:
        of = functions.get_function_configuration(FunctionName=mapping["FunctionArn"])
        group, known = of["LoggingConfig"]["LogGroup"], set[str]()
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since_ms)
        for event in (event for page in pages for event in page["events"]):
            took, stream = duration(event["message"]), event["logStreamName"]
            if took is not None:
                new = stack.endpoint is None and stream not in known
                cold = new and _made_since(logs, group, stream, since_ms)
                known.add(stream)
                found.append(Invocation(event["timestamp"], took, cold))
    return sorted(found, key=lambda one: one.at)


def _made_since(logs: Any, group: str, stream: str, since_ms: int) -> bool:
    # Not by its first event's time, which CloudWatch tells an hour later.
    made = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]
    return any(one["creationTime"] >= since_ms for one in made if one["logStreamName"] == stream)
