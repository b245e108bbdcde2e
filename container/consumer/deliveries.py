"""The log: one JSON object per line on stdout, metrics in CloudWatch's embedded metric format."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from consumer.clock import now_ms
from consumer.message import Change, Delivery, written_at_of
from consumer.replica import Outcome
from consumer.settings import POLL
from consumer.task_metrics import (
    APPLY_TIME_TAKEN,
    FALLBACK,
    FORWARD_TIME_TAKEN,
    NAMESPACE,
    REPAIRS,
    SNS_TIME_TAKEN,
    SQS_TIME_TAKEN,
    WATERMARK_LAG,
    WRITE_TO_APPLIED,
)

_encode = json.JSONEncoder(separators=(",", ":")).encode


@cache
def _directive(dimensions: tuple[str, ...], unit: str, *metrics: str) -> str:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    names = [{"Name": name, "Unit": unit} for name in metrics]
    return _encode({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": names})


_BY_FORWARDER = "table", "forwarder"


def delivery_line(
    who: Mapping[str, str],
    delivery: Delivery,
    outcome: Outcome,
    received_at: int,
    applied_at: int,
    *,
    since: int = 0,
) -> str:
    """What became of a delivery, with every hop's clock in Unix milliseconds. `who`: table, task, slot.

    What SQS took before `since`, when the slot was leased, is no metric: it waited for no task, and the
    snapshot told it.
    """
    clocks = delivery.written_at, delivery.sns_at, delivery.sqs_sent_at, delivery.sqs_first_received_at
    source = delivery.message, delivery.forwarder, delivery.receives
    measured = delivery.sqs_sent_at >= since
    return _change_line(
        who, source, delivery.change, outcome, (*clocks, received_at, applied_at), measured=measured
    )


def polled_line(who: Mapping[str, str], change: Change, received_at: int, applied_at: int) -> str:
    """The same for a change that a poll found: there was no message, and a delete has no clock at all."""
    clocks = written_at_of(change), None, None, None, received_at, applied_at
    return _change_line(who, (None, POLL, None), change, "applied", clocks)


def _change_line(
    who: Mapping[str, str],
    source: tuple[str | None, str, int | None],
    change: Change,
    outcome: Outcome,
    clocks: tuple[int | None, int | None, int | None, int | None, int, int],
    *,
    measured: bool = True,
) -> str:
    message, forwarder, receives = source
    written_at, sns_at, sent_at, first_received_at, received_at, applied_at = clocks
    taken = {
        WRITE_TO_APPLIED: _between(written_at, applied_at),
        FORWARD_TIME_TAKEN: _between(written_at, sns_at),
        SNS_TIME_TAKEN: _between(sns_at, sent_at),
        SQS_TIME_TAKEN: _between(sent_at, first_received_at),
        APPLY_TIME_TAKEN: _between(first_received_at, applied_at),
    }
    # A metric that is named must have a number, and one that is negative takes all percentiles away:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
    metrics = [name for name, milliseconds in taken.items() if milliseconds is not None and milliseconds >= 0]
    fields = {
        "event": "delivery",
        **who,
        "message": message,
        "forwarder": forwarder,
        "outcome": outcome,
        "change": "delete" if change.item is None else "put",
        "id": change.id,
        "version": change.version,
        "writtenAt": written_at,
        "snsAt": sns_at,
        "sqsSentAt": sent_at,
        "sqsFirstReceivedAt": first_received_at,
        "receivedAt": received_at,
        "appliedAt": applied_at,
        "receives": receives,
        **taken,
    }
    directives = [_directive(_BY_FORWARDER, "Milliseconds", *metrics)] if measured and metrics else []
    return _line(applied_at, directives, fields)


def _between(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start


def watermark_lines(who: Mapping[str, str], lag: Mapping[str, int], *, fallback: bool) -> Iterator[str]:
    """How old the newest watermark is, by forwarder, and whether the task polls instead."""
    directives = [
        _directive(_BY_FORWARDER, "Milliseconds", WATERMARK_LAG),
        _directive(("table",), "Count", FALLBACK),
    ]
    for forwarder, milliseconds in lag.items():
        fields = {"forwarder": forwarder, WATERMARK_LAG: milliseconds, FALLBACK: int(fallback)}
        yield _event_line("watermark", directives, {**who, **fields})


def repair_line(who: Mapping[str, str], item_id: str, version: int) -> str:
    """A change that a rescan brought, and no message."""
    directives = [_directive(("table",), "Count", REPAIRS)]
    return _event_line("repaired", directives, {**who, "id": item_id, "version": version, REPAIRS: 1})


def event_line(event: str, **fields: object) -> str:
    """Anything else worth a line."""
    return _event_line(event, [], fields)


def _event_line(event: str, directives: Sequence[str], fields: Mapping[str, object]) -> str:
    at = now_ms()
    return _line(at, directives, {"event": event, "at": at, **fields})


def _line(at: int, directives: Sequence[str], fields: Mapping[str, object]) -> str:
    line = _encode(fields)
    if not directives:
        return line
    # Directives stay the same: to encode them for each line would take as long as the rest of it.
    return f'{{"_aws":{{"Timestamp":{at},"CloudWatchMetrics":[{",".join(directives)}]}},{line[1:]}'


def write(lines: Iterable[str]) -> None:
    """Write lines in one piece, whole even when several threads write."""
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    sys.stdout.buffer.flush()
