"""The log: one JSON object per line on stdout, metrics in CloudWatch's embedded metric format."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from consumer.clock import now_ms
from consumer.message import Change, Delivery, written_at_of
from consumer.replica import Outcome

_encode = json.JSONEncoder(separators=(",", ":")).encode

_HOPS = ("snsTimeTaken", "sqsTimeTaken", "applyTimeTaken")


def _directive(dimensions: list[str], unit: str, *metrics: str) -> dict[str, Any]:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    names = [{"Name": name, "Unit": unit} for name in metrics]
    return {"Namespace": "statecast", "Dimensions": [dimensions], "Metrics": names}


_BY_FORWARDER = ["table", "forwarder"]
# A delete does not carry its writer's clock, and a metric that is named must have a number.
_OF_ANY_CHANGE = _directive(_BY_FORWARDER, "Milliseconds", *_HOPS)
_OF_DATED_CHANGE = _directive(_BY_FORWARDER, "Milliseconds", "writeToApplied", "forwardTimeTaken", *_HOPS)
_OF_POLLED_CHANGE = _directive(_BY_FORWARDER, "Milliseconds", "writeToApplied")
_OF_WATERMARK = (
    _directive(_BY_FORWARDER, "Milliseconds", "watermarkLag"),
    _directive(["table"], "Count", "fallback"),
)
_OF_REPAIR = _directive(["table"], "Count", "repairs")


def delivery_line(
    who: Mapping[str, str], delivery: Delivery, outcome: Outcome, received_at: int, applied_at: int
) -> str:
    """What became of a delivery, with every hop's clock in Unix milliseconds. `who`: table, task, slot."""
    written_at, sns_at, sent_at = delivery.written_at, delivery.sns_at, delivery.sqs_sent_at
    dated = written_at is not None
    metrics = _OF_DATED_CHANGE if dated else _OF_ANY_CHANGE
    return _encode(
        {
            "_aws": {"Timestamp": applied_at, "CloudWatchMetrics": [metrics]},
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


def polled_line(who: Mapping[str, str], change: Change, received_at: int, applied_at: int) -> str:
    """The same for a change that a poll found: there was no message, and a delete has no clock at all."""
    written_at = written_at_of(change)
    dated = written_at is not None
    metrics = {"_aws": {"Timestamp": applied_at, "CloudWatchMetrics": [_OF_POLLED_CHANGE]}} if dated else {}
    return _encode(
        {
            **metrics,
            "event": "delivery",
            **who,
            "message": None,
            "forwarder": "poll",
            "outcome": "applied",
            "change": "delete" if change.item is None else "put",
            "id": change.id,
            "version": change.version,
            "writtenAt": written_at,
            **dict.fromkeys(("snsAt", "sqsSentAt", "sqsFirstReceivedAt")),
            "receivedAt": received_at,
            "appliedAt": applied_at,
            "receives": None,
            "writeToApplied": applied_at - written_at if dated else None,
            **dict.fromkeys(("forwardTimeTaken", *_HOPS)),
        }
    )


def watermark_lines(who: Mapping[str, str], lag: Mapping[str, int], *, fallback: bool) -> Iterator[str]:
    """How old the newest watermark is, by forwarder, and whether the task polls instead."""
    for forwarder, milliseconds in lag.items():
        fields = {"forwarder": forwarder, "watermarkLag": milliseconds, "fallback": int(fallback)}
        yield _line("watermark", _OF_WATERMARK, {**who, **fields})


def repair_line(who: Mapping[str, str], item_id: str, version: int) -> str:
    """A change that a rescan brought, and no message."""
    return _line("repaired", (_OF_REPAIR,), {**who, "id": item_id, "version": version, "repairs": 1})


def event_line(event: str, **fields: object) -> str:
    """Anything else worth a line."""
    return _line(event, (), fields)


def _line(event: str, metrics: Sequence[dict[str, Any]], fields: Mapping[str, object]) -> str:
    at = now_ms()
    directives = {"_aws": {"Timestamp": at, "CloudWatchMetrics": metrics}} if metrics else {}
    return _encode({**directives, "event": event, "at": at, **fields})


def write(lines: Iterable[str]) -> None:
    """Write lines in one piece, whole even when several threads write."""
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    sys.stdout.buffer.flush()
