"""What ECS tells a task of itself.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate-response.html
"""

import json
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple
from urllib.request import urlopen


class Metadata(NamedTuple):
    """A task as it was when it asked."""

    arn: str
    clock_error_bound: int | None
    """How far its clock may be off, in milliseconds; None where ECS does not say, or it is not in step."""


def read_metadata(uri: str) -> Metadata:
    """Ask the endpoint that the environment names; raises OSError."""
    with urlopen(f"{uri}/task", timeout=5) as answer:
        return metadata_of(json.load(answer))


def metadata_of(document: Mapping[str, Any]) -> Metadata:
    """What of the endpoint's answer a task has use for."""
    drift: Mapping[str, Any] = document.get("ClockDrift") or {}
    known = drift.get("ClockSynchronizationStatus") == "SYNCHRONIZED" and "ClockErrorBound" in drift
    return Metadata(document["TaskARN"], ceil(drift["ClockErrorBound"]) if known else None)
