import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.credentials import Credentials

from bench import appsync
from bench.appsync import AppSyncEntry, latency
from bench.errors import ExperimentError
from bench.statistics import Distribution

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HOST = "abc.appsync-api.eu-south-1.amazonaws.com"


class Api:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.answer = 200, "{}"
        self.asked: list[tuple[Any, Any]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.asked.append(((self.path, self.headers), json.loads(body)))
                self.send_response(api.status)
                self.end_headers()
                self.wfile.write(api.answer.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def entry(self) -> AppSyncEntry:
        stack: Any = SimpleNamespace(
            name="local",
            region="eu-south-1",
            endpoint=f"http://127.0.0.1:{self.server.server_port}",
            credentials=Credentials("AKID", "secret", "session"),
            outputs=SimpleNamespace(api_url=f"https://{HOST}/graphql"),
        )
        return AppSyncEntry(stack)


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_put_is_signed_for_appsync_and_carries_the_writers_clock_and_a_trace(api: Api) -> None:
    api.answer = '{"data": {"put": {"version": 1.7E12}}}'
    assert api.entry().put("a", 5, 1_700_000_000_000, TRACE) == 1_700_000_000_000

    [((path, headers), body)] = api.asked
    assert (path, headers["Host"]) == ("/graphql", HOST)
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "/eu-south-1/appsync/aws4_request, SignedHeaders=" in headers["Authorization"]
    assert "host" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "session"
    variables = body["variables"]
    assert variables == {
        "id": "a",
        "attributes": '{"value": 5}',
        "writtenAt": 1_700_000_000_000,
        "traceparent": TRACE,
    }
    assert "put(id: $id," in body["query"]


def test_a_delete_is_the_version_that_the_api_tells(api: Api) -> None:
    api.answer = '{"data": {"delete": {"version": 9}}}'
    assert api.entry().delete("a") == 9
    api.answer = '{"data": {"delete": null}}'
    with pytest.raises(ExperimentError, match="there was no item a to delete"):
        api.entry().delete("a")


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (200, '{"data": null, "errors": [{"message": "no"}]}', "AppSync: no"),
        (401, '{"errors": [{"message": "not authorized"}]}', "AppSync: not authorized"),
        (503, "<html>", "AppSync answered 503: b'<html>'"),
    ],
)
def test_what_appsync_refuses_is_a_failed_write_made_once(
    api: Api, status: int, answer: str, told: str
) -> None:
    api.status, api.answer = status, answer
    with pytest.raises(ExperimentError) as refused:
        api.entry().put("a", 5, 1, TRACE)
    assert str(refused.value) == told
    assert len(api.asked) == 1


def test_a_stack_without_an_api_is_one_clear_line() -> None:
    stack: Any = SimpleNamespace(name="s", outputs=SimpleNamespace(api_url=""))
    with pytest.raises(ExperimentError) as refused:
        AppSyncEntry(stack)
    assert str(refused.value) == ("stack 's' has no write API: set statecast:writeApi, or use --entry table")


class Metrics:
    """A stack on AWS whose metrics come after a while."""

    endpoint = None
    outputs = SimpleNamespace(api_url=f"https://{HOST}/graphql")

    def __init__(self, *answers: list[dict[str, float]]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def client(self, service: str) -> Any:
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_graphql_apis"
        other = {"apiId": "other", "uris": {"GRAPHQL": "https://other/graphql"}}
        own = {"apiId": "own", "uris": {"GRAPHQL": self.outputs.api_url}}
        return SimpleNamespace(paginate=lambda: [{"graphqlApis": [other]}, {"graphqlApis": [own]}])

    def get_metric_statistics(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return {"Datapoints": self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]}


def point(count: int, total: float, highest: float) -> dict[str, float]:
    return {"SampleCount": count, "Sum": total, "Maximum": highest}


def took(metrics: Metrics, requests: int, patience_s: float = 60) -> Distribution:
    start = datetime(2026, 1, 1, 10, 0, 59, tzinfo=UTC)
    since = round(start.timestamp() * 1000)
    stack: Any = metrics
    return latency(stack, since, since + 62_000, requests, patience_s)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appsync, "POLL_S", 0.001)


def test_appsyncs_latency_is_the_mean_of_all_requests_in_the_minutes_of_the_run() -> None:
    metrics = Metrics([point(1, 100, 100), point(3, 160, 70.4)])
    assert took(metrics, 4) == Distribution(4, 65.0, max=100)

    [asked] = metrics.asked
    assert (asked["Namespace"], asked["MetricName"], asked["Period"]) == ("AWS/AppSync", "Latency", 60)
    assert asked["Dimensions"] == [{"Name": "GraphQLAPIId", "Value": "own"}]
    # From the minute of the first write to the end of that of the last.
    assert asked["StartTime"] == datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
    assert asked["EndTime"] - asked["StartTime"] == timedelta(minutes=3)


def test_it_waits_for_as_many_requests_as_there_were_writes() -> None:
    metrics = Metrics([], [point(2, 100, 60)], [point(4, 260, 80)])
    assert took(metrics, 4).count == 4
    assert len(metrics.asked) == 3


def test_what_has_not_come_in_time_is_told_as_it_is() -> None:
    assert took(Metrics([point(2, 100, 60)]), 4, patience_s=0.01) == Distribution(2, 50.0, max=60)
    assert took(Metrics([]), 4, patience_s=0.01) == Distribution(0)


def test_an_emulator_has_no_such_metric() -> None:
    metrics = Metrics([point(1, 1, 1)])
    metrics.endpoint = "http://127.0.0.1:4566"  # type: ignore[assignment]
    assert took(metrics, 1) == Distribution(0)
    assert metrics.asked == []
