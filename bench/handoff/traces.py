"""The traces of a hand-off: the order, A's operation within it, B's work within that."""

from collections.abc import Iterable, Iterator

from bench.handoff.result import Handoff
from bench.traces import CLIENT, CONSUMER, PRODUCER, Span, context, derived


def of_handoffs(handoffs: Iterable[Handoff]) -> list[Span]:
    """The spans of every message, of what was told of it. Each span is by the clock of who did it."""
    return [span for each in handoffs for span in _spans(each)]


def _spans(of: Handoff) -> Iterator[Span]:
    order, message = of.order, of.order.message
    trace, own = context(order.traceparent)
    told = {
        "statecast.id": message.id,
        "statecast.way": message.way,
        "statecast.size": message.size,
        "statecast.workMs": message.work_ms,
        "statecast.phase": of.phase,
        "statecast.state": of.state,
    }
    clocks = order.ordered_at, order.answered_at
    yield Span("statecast-bench", "", trace, own, "", "order", CLIENT, *clocks, attributes=told)
    if of.sent:
        (_, parent), (_, own) = context(of.sent.parent), context(of.sent.traceparent)
        clocks = of.sent.sent_at, of.sent.sent_at + of.sent.operation
        yield Span(
            "statecast-sender", "", trace, own, parent, "operation", PRODUCER, *clocks, attributes=told
        )
    if of.received:
        _, parent = context(of.received.parent)
        clocks = of.received.received_at, of.received.handled_at
        own = derived(message.id, "work")
        yield Span("statecast-receiver", "", trace, own, parent, "work", CONSUMER, *clocks, attributes=told)
