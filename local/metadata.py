"""The task metadata endpoint, version 4, as the ECS agent serves it.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.emulator import HOST


class MetadataServer:
    """Answers `/v4/<task id>` with the task's container and `/v4/<task id>/task` with the task."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any]] = {}
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen on a free loopback port, in a thread."""
        documents = self._documents

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = documents.get(self.path)
                self.send_response(200 if document else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(document or {"error": f"no task at {self.path}"}).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
                """A line for each request would say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def add(self, task: dict[str, Any], definition: dict[str, Any]) -> str:
        """Serve a task as DescribeTasks gives it; returns its ECS_CONTAINER_METADATA_URI_V4."""
        assert self._server, "start() comes first"
        path = f"/v4/{task['taskArn'].rpartition('/')[2]}"
        image = definition["containerDefinitions"][0]
        states = {"DesiredStatus": "RUNNING", "KnownStatus": "RUNNING"}
        container = {"Name": image["name"], "Image": image.get("image", ""), "Type": "NORMAL", **states}
        self._documents[path] = container
        self._documents[f"{path}/task"] = {
            "Cluster": task["clusterArn"],
            "TaskARN": task["taskArn"],
            "Family": definition["family"],
            "Revision": str(definition["revision"]),
            "LaunchType": task.get("launchType", ""),
            "AvailabilityZone": task.get("availabilityZone", ""),
            "Containers": [container],
            **states,
        }
        return f"http://{HOST}:{self._server.server_port}{path}"

    def remove(self, arn: str) -> None:
        """Forget a task."""
        path = f"/v4/{arn.rpartition('/')[2]}"
        del self._documents[path], self._documents[f"{path}/task"]
