# ruff: noqa: N803 - boto3's names
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bench.invocations import Invocation, duration, invocations
from bench.report import markdown, page
from bench.report.charts import timeline
from tests.bench.pretend import PretendStack
from tests.bench.synthetic import START, delivery, result, write

TEXT = "REPORT RequestId: 1-2\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB"
MEASURED = {"durationMs": 56.78, "billedDurationMs": 57, "restoreDurationMs": 400.0}
JSON = json.dumps({"type": "platform.report", "record": {"requestId": "1", "metrics": MEASURED}})


@pytest.mark.parametrize(
    ("line", "ms"),
    [(TEXT, 12.34), (JSON, 56.78), ("START RequestId: 1", None), ('{"type":"platform.start"}', None)],
)
def test_a_report_tells_a_duration_as_text_and_as_json(line: str, ms: float | None) -> None:
    assert duration(line) == ms


@dataclass
class Lambda(PretendStack):
    """A function with an environment from before the run, and one that began during it."""

    groups: list[str] = field(default_factory=list)

    def list_event_source_mappings(self, *, EventSourceArn: str) -> Any:
        assert EventSourceArn == self.outputs.stream_arn
        return {"EventSourceMappings": [{"FunctionArn": "arn:function:live"}]}

    def get_function_configuration(self, *, FunctionName: str) -> Any:
        return {"LoggingConfig": {"LogGroup": f"logs of {FunctionName}"}}

    def get_paginator(self, operation: str) -> Any:
        return self if operation == "filter_log_events" else super().get_paginator(operation)

    def paginate(self, *, logGroupName: str, startTime: int) -> Any:
        self.groups.append(logGroupName)
        came = [(1, "old", "START"), (2, "old", TEXT), (4, "new", JSON), (5, "new", TEXT), (3, "old", TEXT)]
        events = [
            {"timestamp": startTime + at, "logStreamName": stream, "message": line}
            for at, stream, line in came
        ]
        return [{"events": events[:2]}, {"events": events[2:]}]

    def describe_log_streams(self, *, logStreamNamePrefix: str, **_: Any) -> Any:
        streams = {"old": 500, "older": 2000, "new": 1001}
        return {
            "logStreams": [
                {"logStreamName": name, "creationTime": made}
                for name, made in streams.items()
                if name.startswith(logStreamNamePrefix)
            ]
        }


def test_the_first_report_of_a_stream_that_was_made_during_the_run_is_of_a_cold_start() -> None:
    stack = Lambda()
    assert invocations(stack, 1000) == [  # pyright: ignore[reportArgumentType]
        Invocation(1002, 12.34, cold=False),
        Invocation(1003, 12.34, cold=False),
        Invocation(1004, 56.78, cold=True),
        Invocation(1005, 12.34, cold=False),
    ]
    assert stack.groups == ["logs of arn:function:live"]


def test_an_emulator_that_has_a_stream_for_each_invocation_tells_of_no_cold_start() -> None:
    called = invocations(Lambda(endpoint="http://emulator"), 1000)  # pyright: ignore[reportArgumentType]
    assert [one.cold for one in called] == [False] * 4


def test_a_stack_without_a_function_has_none() -> None:
    assert invocations(PretendStack(), 0) == []  # pyright: ignore[reportArgumentType]


def test_durations_are_told_warm_and_cold_apart_and_cold_starts_are_marked() -> None:
    called = [
        Invocation(START + 399, 400.0, cold=False),  # it began before the first measured write
        Invocation(START + 500, 400.0, cold=True),
        Invocation(START + 900, 30.0, cold=False),
    ]
    told = result([write(0)], [delivery(write(0))], invocations=called)
    assert {name: took.mean for name, took in told.function_ms.items()} == {"warm": 30.0, "cold": 400.0}
    assert "<td>function, cold: duration</td><td>400.00</td>" in page(told)
    (star,) = [trace for trace in timeline(told).data if trace.name == "lambda: cold start"]
    assert (list(star.x), list(star.y)) == ([0.1], [400])
    untold = [replace(one, cold=False) for one in called]
    emulated = result([write(0)], [delivery(write(0))], invocations=untold, cloud="emulator (ministack 1)")
    assert emulated.function_ms.keys() == {"all"}
    assert "cold start" not in page(result([write(0)], [delivery(write(0))])).split("<script", 1)[0]
    assert markdown(told)
