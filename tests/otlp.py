"""A receiver of OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp), on loopback."""

import gzip
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Span:
    """A span as it was received; ids in hex, times in Unix milliseconds, links are (trace, span)."""

    resource: dict[str, Any] = field(compare=False)
    trace: str
    id: str
    parent: str
    name: str
    kind: int
    start: float
    end: float
    attributes: dict[str, Any]
    links: list[tuple[str, str]]


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """All spans of a request."""
    for of in request.resource_spans:
        resource = attributes(of.resource.attributes)
        for scope in of.scope_spans:
            assert scope.scope.name == "statecast"
            yield from (_span(resource, message) for message in scope.spans)


def read(document: dict[str, Any]) -> list[Span]:
    """The spans of a request in JSON, as OpenTelemetry's own schema reads it."""
    for of in document["resourceSpans"]:
        for scope in of["scopeSpans"]:
            links = (link for span in scope["spans"] for link in span["links"])
            for named in (*scope["spans"], *links):
                # OTLP's ids are hex where protobuf's JSON has base64.
                for key in {"traceId", "spanId", "parentSpanId"} & named.keys():
                    named[key] = b64encode(bytes.fromhex(named[key])).decode()
    return list(spans(json_format.ParseDict(document, ExportTraceServiceRequest())))


def _span(resource: dict[str, Any], of: Message) -> Span:
    assert (len(of.trace_id), len(of.span_id)) == (16, 8)
    return Span(
        resource=resource,
        trace=of.trace_id.hex(),
        id=of.span_id.hex(),
        parent=of.parent_span_id.hex(),
        name=of.name,
        kind=of.kind,
        start=of.start_time_unix_nano / 1_000_000,
        end=of.end_time_unix_nano / 1_000_000,
        attributes=attributes(of.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in of.links],
    )


@dataclass
class Receiver:
    """`answers` is the status of each answer; `held` keeps all answers back until it is set."""

    url: str = ""
    answers: int = 200
    held: threading.Event | None = None
    requests: int = 0
    received: list[Span] = field(default_factory=list)

    def post(self, path: str, content_type: str | None, encoding: str | None, body: bytes) -> int:
        self.requests += 1
        if self.held:
            self.held.wait(PATIENCE_SECONDS)
        if (path, content_type) != ("/v1/traces", "application/x-protobuf"):
            return 404
        if self.answers == 200:
            request = ExportTraceServiceRequest()
            request.ParseFromString(gzip.decompress(body) if encoding == "gzip" else body)
            self.received += spans(request)
        return self.answers

    def wait(self, count: int) -> list[Span]:
        """What was received, once it is so many spans."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.received) < count:
            assert time.monotonic() < deadline, f"{len(self.received)} spans, not {count}"
            time.sleep(0.02)
        return self.received


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, until the end."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            of = self.headers.get("Content-Type"), self.headers.get("Content-Encoding")
            status = receiver.post(self.path, *of, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield receiver
    finally:
        if receiver.held:
            receiver.held.set()
        server.shutdown()
        server.server_close()
