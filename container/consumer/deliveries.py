"""The log: one JSON object per line on stdout, a delivery's in CloudWatch's embedded metric format."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from consumer.clock import now_ms
from consumer.message import Delivery
from consumer.replica import Outcome

_encode = json.JSONEncoder(separators=(",", ":")).encode


def _directive(*metrics: str) -> list[dict[str, Any]]:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    names = [{"Name": name, "Unit": "Milliseconds"} for name in metrics]
    return [{"Namespace": "statecast", "Dimensions": [["forwarder"]], "Metrics": names}]


_HOPS = ("snsTimeTaken", "sqsTimeTaken", "applyTimeTaken")
_OF_ANY_CHANGE = _directive(*_HOPS)
# A delete does not carry its writer's clock, and a metric that is named must have a number.
_OF_DATED_CHANGE = _directive("writeToApplied", "forwardTimeTaken", *_HOPS)


def delivery_line(
    who: Mapping[str, str], delivery: Delivery, outcome: Outcome, received_at: int, applied_at: int
) -> str:
    """What became of a delivery, with every hop's clock in Unix milliseconds. `who`: the task, its slot."""
    written_at, sns_at, sent_at = delivery.written_at, delivery.sns_at, delivery.sqs_sent_at
    dated = written_at is not None
    metrics = _OF_DATED_CHANGE if dated else _OF_ANY_CHANGE
    return _encode(
        {
            "_aws": {"Timestamp": applied_at, "CloudWatchMetrics": metrics},
            "event": "delivery",
            **who,
            "message": delivery.message,
            "forwarder": delivery.forwarder,
            "outcome": outcome,
            "change": "delete" if delivery.change.item is None else "put",
            "id": delivery.change.id,
            "version": delivery.change.version,
            "writtenAt": written_at,
            "snsAt": sns_at,
            "sqsSentAt": sent_at,
            "sqsFirstReceivedAt": delivery.sqs_first_received_at,
            "receivedAt": received_at,
            "appliedAt": applied_at,
            "receives": delivery.receives,
            "writeToApplied": applied_at - written_at if dated else None,
            "forwardTimeTaken": sns_at - written_at if dated else None,
            "snsTimeTaken": sent_at - sns_at,
            "sqsTimeTaken": delivery.sqs_first_received_at - sent_at,
            "applyTimeTaken": applied_at - delivery.sqs_first_received_at,
        }
    )


def event_line(event: str, **fields: object) -> str:
    """Anything else worth a line."""
    return _encode({"event": event, "at": now_ms(), **fields})


def write(lines: Iterable[str]) -> None:
    """Write lines in one piece, whole even when several threads write."""
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    sys.stdout.buffer.flush()
