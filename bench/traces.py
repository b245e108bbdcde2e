"""A run's traces as OTLP JSON: the writes by their own clock, the deliveries by the rule of docs/tracing.md.

The tasks' log tells all that their spans do, so that nobody has to reach bench, which on AWS nobody can.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from bench.deliveries import Delivery
from bench.writer import Write

INTERNAL, CLIENT, PRODUCER, CONSUMER = 1, 3, 4, 5
"""https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto"""
HOPS = ("forward", "sns", "sqs", "apply")
Attributes = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Span:
    """A span; ids in hex, times in Unix milliseconds, `links` are spans of the same trace.

    Its resource is `service` and, of several of a kind, the `instance`. What is null is no attribute.
    """

    service: str
    instance: str
    trace: str
    id: str
    parent: str
    name: str
    kind: int
    start: float
    end: float
    attributes: Attributes
    links: tuple[str, ...] = ()


def of_run(writes: Sequence[Write], deliveries: Iterable[Delivery]) -> list[Span]:
    """The spans of acknowledged writes and of what became of them; a delete has none."""
    traced = {(write.id, write.version): write for write in writes if write.version and write.traceparent}
    told = [
        (traced[delivery.id, delivery.version], delivery)
        for delivery in deliveries
        if delivery.change == "put" and (delivery.id, delivery.version) in traced
    ]
    firsts = {
        (delivery.task, delivery.id, delivery.version): span_id(delivery, "delivery")
        for write, delivery in told
        if delivery.outcome == "applied" and write.written_at <= delivery.applied_at
    }
    spans = [_write(write) for write in traced.values()]
    for write, delivery in told:
        spans += _delivery(write, delivery, firsts.get((delivery.task, delivery.id, delivery.version)))
    return spans


def context(traceparent: str) -> tuple[str, str]:
    """The trace and the span that a W3C trace context names."""
    _, trace, span, _ = traceparent.split("-")
    return trace, span


def span_id(of: Delivery, name: str) -> str:
    """The id of a delivery's span."""
    return derived(of.task, of.slot, of.forwarder, of.message, of.receives, of.id, of.version, name)


def derived(*parts: str | int | None) -> str:
    """The id of a span whose parts nobody else has."""
    named = "\n".join("" if part is None else str(part) for part in parts)
    return blake2b(named.encode(errors="replace"), digest_size=8).hexdigest()


def save(spans: Iterable[Span], stack: str, started: str, folder: Path) -> Path:
    """Write them to a file of the folder, named by when the run started."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{started}.json"
    path.write_text(json.dumps(otlp(spans, stack)) + "\n")
    return path


def otlp(spans: Iterable[Span], stack: str) -> dict[str, Any]:
    """An ExportTraceServiceRequest: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding."""
    resources: defaultdict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans:
        resources[span.service, span.instance].append(span)
    return {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": _attributes(
                        {
                            "service.name": service,
                            "service.instance.id": instance or None,
                            "deployment.environment.name": stack,
                        }
                    )
                },
                "scopeSpans": [{"scope": {"name": "statecast"}, "spans": list(map(_otlp, of))}],
            }
            for (service, instance), of in resources.items()
        ]
    }


def _write(write: Write) -> Span:
    trace, own = context(write.traceparent or "")
    told = {"statecast.id": write.id, "statecast.version": write.version}
    began, ended = write.written_at, write.acknowledged_at
    return Span("statecast-bench", "", trace, own, "", "write", CLIENT, began, ended, told)


def _delivery(write: Write, of: Delivery, first: str | None) -> Iterator[Span]:
    if write.written_at > of.applied_at:
        return
    trace, parent = context(write.traceparent or "")
    applied = of.outcome == "applied"
    name = "delivery" if applied else "copy"
    own = span_id(of, name)
    told = {
        "slot": of.slot,
        "forwarder": of.forwarder,
        "message": of.message,
        "receives": of.receives,
        "id": of.id,
        "version": of.version,
        "outcome": of.outcome,
    }
    yield Span(
        *("statecast", of.task, trace, own, parent, name, CONSUMER, write.written_at, of.applied_at),
        attributes={f"statecast.{key}": value for key, value in told.items()},
        links=(first,) if first and not applied else (),
    )
    if not applied:
        return
    clocks = (write.written_at, of.sns_at, of.sqs_sent_at, of.sqs_first_received_at, of.applied_at)
    for hop, start, end in zip(HOPS, clocks, clocks[1:], strict=False):
        if start is not None and end is not None and write.written_at <= start <= end <= of.applied_at:
            yield Span(
                *("statecast", of.task, trace, span_id(of, hop), own, hop, INTERNAL, start, end),
                attributes={},
            )


def _otlp(of: Span) -> dict[str, Any]:
    parent = {"parentSpanId": of.parent} if of.parent else {}
    return {
        "traceId": of.trace,
        "spanId": of.id,
        **parent,
        "name": of.name,
        "kind": of.kind,
        "startTimeUnixNano": str(round(of.start * 1_000) * 1_000),
        "endTimeUnixNano": str(round(of.end * 1_000) * 1_000),
        "attributes": _attributes(of.attributes),
        "links": [{"traceId": of.trace, "spanId": link} for link in of.links],
    }


def _attributes(of: Attributes) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
        for key, value in of.items()
        if value is not None
    ]
