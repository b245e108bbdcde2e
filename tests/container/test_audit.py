"""`make audit` fails on a vulnerability, and wherever there is no telling."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.emulator import free_port

ROOT = Path(__file__).parents[2]
ADVISORY = {
    "id": "PYSEC-0000-1",
    "summary": "Planted.",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
        }
    ],
}
Advisories = Callable[[str], dict[str, Any]]


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Callable[[Advisories | None], subprocess.CompletedProcess[str]]]:
    """Run it with a service of our own, which answers each package's name; or with one that is not there."""
    servers: list[ThreadingHTTPServer] = []

    def run(answer: Advisories | None) -> subprocess.CompletedProcess[str]:
        port = free_port()
        if answer:

            class Service(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                    body = json.dumps(answer(asked["package"]["name"])).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                    pass

            servers.append(ThreadingHTTPServer(("127.0.0.1", port), Service))
            threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        service = f"--vulnerability-service osv --osv-url http://127.0.0.1:{port} --cache-dir {tmp_path}"
        return subprocess.run(
            ["make", "--assume-old=setup", "audit", f"ADVISORIES={service}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_image_without_known_vulnerabilities_passes(audit: Callable[..., Any]) -> None:
    asked: list[str] = []
    done = audit(lambda package: asked.append(package) or {})
    assert done.returncode == 0, done.stdout
    assert "No known vulnerabilities found" in done.stdout
    assert {"boto3", "botocore", "urllib3", "bottle", "waitress", "prometheus-client"} <= set(asked)


def test_a_known_vulnerability_fails_and_is_named(audit: Callable[..., Any]) -> None:
    done = audit(lambda package: {"vulns": [ADVISORY]} if package == "urllib3" else {})
    assert done.returncode != 0
    assert "PYSEC-0000-1" in done.stdout


def test_a_service_that_cannot_be_asked_fails_and_says_so(audit: Callable[..., Any]) -> None:
    done = audit(None)
    assert done.returncode != 0
    assert "No known vulnerabilities found" not in done.stdout
    assert "Connection refused" in done.stdout
