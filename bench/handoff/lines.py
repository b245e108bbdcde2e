"""What the two functions logged: read from their log groups, the same way on AWS and on the emulator."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pydantic.alias_generators import to_camel

from bench.errors import ExperimentError

POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Sent:
    """What A told of a message: clocks in Unix milliseconds, the operation in milliseconds."""

    id: str
    cold: bool  # the first message of A's environment by its way: a connection was opened
    sent_at: float
    operation: float
    parent: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Received:
    """What B told of it."""

    id: str
    cold: bool  # the first invocation of B's environment
    received_at: float
    handled_at: float
    parent: str


Line = Sent | Received
_KINDS: dict[str, type[Sent] | type[Received]] = {"sent": Sent, "received": Received}


def parse(text: str, prefix: str) -> Line | None:
    """The line, if it tells of a message whose id begins with `prefix`."""
    try:
        told: Any = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(told, dict) or told.get("event") not in _KINDS:
        return None
    kind = _KINDS[told["event"]]
    try:
        line = kind(**{field.name: told[to_camel(field.name)] for field in fields(kind)})
    except KeyError as missing:
        raise ExperimentError(
            f"a line of the hand-off has no {missing}, is the stack older than bench? {text}"
        ) from None
    return line if line.id.startswith(prefix) else None


@dataclass(frozen=True)
class HandoffLog:
    """The lines of one run, from the groups of both functions.

    By FilterLogEvents: an environment's log stream cannot be known beforehand, and the emulator gives each
    invocation one. There the answer is at most 10,000 events, and no token: keep a run below that.
    """

    logs: Any
    groups: Sequence[str]
    prefix: str

    def read(self, since_ms: int) -> Iterator[Line]:
        """All lines since then."""
        for group in self.groups:
            pages = self.logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=since_ms, filterPattern=f'"{self.prefix}"'
            )
            for page in pages:
                for event in page["events"]:
                    if line := parse(event.get("message", ""), self.prefix):
                        yield line


def follow(
    log: HandoffLog,
    since_ms: int,
    expected: Collection[str],
    patience_s: float,
    advance: Callable[[int], None] = lambda _: None,
) -> bool:
    """Wait until both functions have told of each message, or neither told anything new for `patience_s`.

    Returns whether any message came.
    """
    wanted = {(id_, kind) for id_ in expected for kind in (Sent, Received)}
    found: set[tuple[str, type]] = set()
    deadline = time.monotonic() + patience_s
    while found != wanted and time.monotonic() < deadline:
        if news := (wanted & {(line.id, type(line)) for line in log.read(since_ms)}) - found:
            advance(sum(kind is Received for _, kind in news))
            found |= news
            deadline = time.monotonic() + patience_s
        else:
            time.sleep(POLL_S)
    return any(kind is Received for _, kind in found)
