"""Deliveries, as the tasks logged them: read from the log group, the same way on AWS and on the emulator."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from bench.errors import ExperimentError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import GetLogEventsRequestTypeDef

POLL_S = 0.5
CLOCK_MARGIN_MS = 60_000
"""How far the clock of what logs may be behind ours before a line is overlooked."""
POLL = "poll"
"""The forwarder of what came by none: a poll found it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that a task handled, or a change that it found by a poll. Clocks in Unix milliseconds.

    A poll has no message, so no queue's clocks. It tells the newest state of an item alone, and a delete by
    the version after the one that was held.
    """

    task: str
    slot: str
    message: str | None
    forwarder: str
    outcome: str
    change: str
    id: str
    version: int
    sns_at: int | None
    sqs_sent_at: int | None
    sqs_first_received_at: int | None
    received_at: int
    applied_at: int
    receives: int | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A write's change (id and version) at one task by one forwarder."""

    id: str
    version: int
    task: str
    forwarder: str


_FIELDS = {field.name: to_camel(field.name) for field in fields(Delivery)}


def parse(line: str, prefix: str) -> Delivery | None:
    """The delivery that a log line tells of, of an item whose id begins with `prefix`; else None."""
    if prefix not in line:  # most other lines need not be parsed
        return None
    try:
        told: Any = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(told, dict) or told.get("event") != "delivery":
        return None
    try:
        delivery = Delivery(**{name: told[key] for name, key in _FIELDS.items()})
    except KeyError as missing:
        raise ExperimentError(
            f"a delivery line has no {missing}, is its image older than bench? {line}"
        ) from None
    return delivery if delivery.id.startswith(prefix) else None


class DeliveryLog:
    """The deliveries of items with one prefix, from some tasks' log streams; each line is read once.

    By GetLogEvents, whose forward token goes on where the last read ended. FilterLogEvents would have to be
    asked for the whole period anew, and the emulator's answers 10,000 events at most and no token.
    """

    def __init__(
        self, logs: "CloudWatchLogsClient", group: str, tasks: Collection[str], prefix: str, since_ms: int
    ) -> None:
        self._logs, self._group, self._prefix, self._since_ms = logs, group, prefix, since_ms
        self._missing = {task.rsplit("/", 1)[-1] for task in tasks}
        self._requests: list[GetLogEventsRequestTypeDef] = []

    def read(self) -> list[Delivery]:
        """The deliveries logged since the last read."""
        return [delivery for line in self.lines() if (delivery := parse(line, self._prefix))]

    def lines(self) -> Iterator[str]:
        """All lines logged since the last read."""
        if self._missing:
            self._find_streams()
        return (line for request in self._requests for line in self._lines(request))

    def rewind(self) -> None:
        """Have the next read begin at the beginning."""
        for request in self._requests:
            request.pop("nextToken", None)

    def _find_streams(self) -> None:
        # A stream is `prefix/container/task`. A group keeps those of every task there ever was: newest first.
        pages = self._logs.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, orderBy="LastEventTime", descending=True
        )
        for page in pages:
            for name in (stream.get("logStreamName", "") for stream in page["logStreams"]):
                if (task := name.rsplit("/", 1)[-1]) in self._missing:
                    self._missing.remove(task)
                    self._requests.append(
                        {
                            "logGroupName": self._group,
                            "logStreamName": name,
                            "startTime": self._since_ms,
                            "startFromHead": True,
                        }
                    )
            if not self._missing:
                return

    def _lines(self, request: "GetLogEventsRequestTypeDef") -> Iterator[str]:
        # An empty page is not the end; an answer with the token that was sent is:
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
        ended = False
        while not ended:
            page = self._logs.get_log_events(**request)
            ended = page["nextForwardToken"] == request.get("nextToken")
            request["nextToken"] = page["nextForwardToken"]
            yield from (event.get("message", "") for event in page["events"])


def collect(
    log: DeliveryLog,
    expected: Collection[Expectation],
    fulfilled: Callable[[list[Delivery]], set[Expectation]],
    patience_s: float,
    *,
    advance: Callable[[int], None],
    before: Sequence[Delivery] = (),
) -> list[Delivery]:
    """Read until every expected delivery is there, or nothing expected has come for `patience_s`.

    Returns all that the log was found to hold, with what was read `before`. Before it gives up it reads all
    again: a line that was ingested behind the token is no loss.
    """
    missing = set(expected)
    deliveries = list(before)
    deadline = time.monotonic() + patience_s
    while True:
        news = log.read()
        deliveries.extend(news)
        if found := missing & fulfilled(news):
            missing -= found
            advance(len(found))
            deadline = time.monotonic() + patience_s
        if not missing:
            return deliveries
        if time.monotonic() > deadline:
            log.rewind()
            return log.read()
        time.sleep(POLL_S)
