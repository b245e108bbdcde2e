"""Traces: what became of a change that its writer traces, a span for each hop (docs/tracing.md).

Imported only where traces are sent: a task that sends none does not pay for the SDK.
"""

import logging
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from threading import Lock, Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumer.deliveries import event_line, write
from consumer.message import Change, Delivery, traceparent_of, written_at_of
from consumer.replica import Outcome
from consumer.settings import POLL

HOPS = ("forward", "sns", "sqs", "apply")
# Spans of some 400 deliveries. What comes while so many wait is lost, and counted.
MOST_WAITING = 2_048
# Changes whose second copy may still be on its way.
MOST_REMEMBERED = 10_000
FLUSH_SECONDS = 1.0
NS = 1_000_000  # in a millisecond

_Clocks = tuple[int | None, int | None, int | None, int | None, int]
_Source = tuple[str, str, str | None, int | None]
_SOURCE = "slot", "forwarder", "message", "receives"
_propagator = TraceContextTextMapPropagator()

# It would say on stderr, at each retry, what is a line of the log once spans are lost.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


class Traces:
    """The spans of one task. To tell of a delivery takes no call, never waits, and fails for nobody."""

    def __init__(self, task: str, exporter: SpanExporter) -> None:
        self._task = task
        self._lock = Lock()
        self._applied: dict[tuple[str, int], SpanContext] = {}
        self._ids = _GivenIds()
        self._outbox = _Outbox(task, exporter)
        self._provider = TracerProvider(
            resource=Resource.create({"service.instance.id": task}),
            id_generator=self._ids,
            shutdown_on_exit=False,  # it would wait for half a minute
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._outbox, max_queue_size=MOST_WAITING))
        self._tracer = self._provider.get_tracer("statecast")

    @property
    def counted(self) -> dict[str, int]:
        """Spans by what became of them."""
        return {"sent": self._outbox.sent, "lost": self._outbox.lost}

    def delivered(self, slot: str, delivery: Delivery, outcome: Outcome, applied_at: int) -> None:
        """A message was handled. Clocks are Unix milliseconds, those of its line."""
        clocks = delivery.written_at, delivery.sns_at, delivery.sqs_sent_at, delivery.sqs_first_received_at
        source = slot, delivery.forwarder, delivery.message, delivery.receives
        self._tell(delivery.traceparent, source, delivery.change, outcome, (*clocks, applied_at))

    def polled(self, slot: str, change: Change, applied_at: int) -> None:
        """A poll found a change."""
        clocks = written_at_of(change), None, None, None, applied_at
        self._tell(traceparent_of(change), (slot, POLL, None, None), change, "applied", clocks)

    def close(self) -> None:
        """Send what waits, for a second at most."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)
        self._outbox.close()

    def _tell(
        self,
        traceparent: str | None,
        source: _Source,
        change: Change,
        outcome: Outcome,
        clocks: _Clocks,
    ) -> None:
        applied_at = clocks[-1]
        began_at = next(clock for clock in clocks if clock is not None)
        write_span = get_current_span(_propagator.extract({"traceparent": traceparent or ""}))
        if not write_span.get_span_context().is_valid or not 0 <= began_at <= applied_at:
            return
        applied, named = outcome == "applied", (change.id, change.version)
        name = "delivery" if applied else "copy"
        hops = list(_hops(began_at, clocks)) if applied else []
        attributes = dict(zip(_SOURCE, source, strict=True))
        attributes |= {"id": change.id, "version": change.version, "outcome": outcome}

        def begin(name: str, parent: Span, at: int, links: Sequence[Link] = ()) -> Span:
            self._ids.following = span_id(self._task, *source, *named, name)
            kind = SpanKind.INTERNAL if name in HOPS else SpanKind.CONSUMER
            within = set_span_in_context(parent)
            return self._tracer.start_span(name, within, kind, links=links, start_time=at * NS)

        with self._lock:  # the inbox and the reader tell
            first = None if applied else self._applied.get(named)
            whole = begin(name, write_span, began_at, [Link(first)] if first else [])
            if not whole.is_recording() or not self._outbox.admit(1 + len(hops)):
                return
            whole.set_attributes({f"statecast.{key}": of for key, of in attributes.items() if of is not None})
            for hop, start, end in hops:
                begin(hop, whole, start).end(end * NS)
            whole.end(applied_at * NS)
            if applied:
                self._applied[named] = whole.get_span_context()
                if len(self._applied) > MOST_REMEMBERED:
                    del self._applied[next(iter(self._applied))]


def start(task: str) -> Traces:
    """The traces of a task, sent to where OpenTelemetry's own variables say, and as they say."""
    return Traces(task, OTLPSpanExporter())


def span_id(*parts: str | int | None) -> int:
    """A span's id: of what it tells, so that whoever reads the log can name it, too."""
    named = "\n".join("" if part is None else str(part) for part in parts)
    return int.from_bytes(blake2b(named.encode(errors="replace"), digest_size=8).digest(), "big")


def _hops(began_at: int, clocks: _Clocks) -> Iterator[tuple[str, int, int]]:
    """The hops that have two clocks and lie within the delivery; clocks of others may disagree with ours."""
    for number, hop in enumerate(HOPS):
        start, end = clocks[number], clocks[number + 1]
        if start is not None and end is not None and began_at <= start <= end <= clocks[-1]:
            yield hop, start, end


class _GivenIds(RandomIdGenerator):
    """The SDK asks for a span's id as it begins it, and says not for which."""

    following = 0

    def generate_span_id(self) -> int:
        return self.following


class _Outbox(SpanExporter):
    """An exporter that counts. Batches that are full would lose spans in silence, so it lets no more in."""

    def __init__(self, task: str, exporter: SpanExporter) -> None:
        self.sent = 0
        self._task = task
        self._exporter = exporter
        # Each is counted by one thread at a time: those that tell, or that which exports.
        self._admitted = self._refused = self._failed = self._told = 0

    @property
    def lost(self) -> int:
        """Spans that found no room, or that nobody took."""
        return self._refused + self._failed

    def admit(self, spans: int) -> bool:
        """Whether there is room for all the spans of a delivery; if not, they are lost."""
        if self._admitted - self.sent - self._failed + spans > MOST_WAITING:
            self._refused += spans
            return False
        self._admitted += spans
        return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, whatever time the exporter allows itself."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
        else:
            self._failed += len(spans)
        self._tell()
        return result

    def shutdown(self) -> None:
        """Have the exporter give up what it tries again."""
        self._exporter.shutdown()

    def close(self) -> None:
        """What still waits is lost."""
        self._failed = self._admitted - self.sent
        self._tell()

    def _tell(self) -> None:
        if news := self.lost - self._told:
            self._told += news
            write([event_line("spans lost", task=self._task, spans=news)])
