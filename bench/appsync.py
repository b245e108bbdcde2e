"""The write API as an entry, and how long AppSync says that it took."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from bench.errors import ExperimentError
from bench.stack import Stack
from bench.statistics import Distribution
from bench.writer import WRITERS

PUT = """mutation ($id: ID!, $attributes: AWSJSON!, $writtenAt: Float, $traceparent: String) {
  put(id: $id, attributes: $attributes, writtenAt: $writtenAt, traceparent: $traceparent) { version }
}"""
DELETE = "mutation ($id: ID!) { delete(id: $id) { version } }"
TIMEOUT_S = 30
"""As AppSync's own: https://docs.aws.amazon.com/general/latest/gr/appsync.html"""
POLL_S = 5.0


class AppSyncEntry:
    """Writes through the API, signed by IAM, by a client that never retries."""

    def __init__(self, stack: Stack) -> None:
        if not stack.outputs.api_url:
            raise ExperimentError(
                f"stack {stack.name!r} has no write API: set statecast:writeApi, or use --entry table"
            )
        address = urlsplit(stack.outputs.api_url)
        # An emulator tells its APIs apart by the name that they would have on AWS.
        self._host = address.netloc
        self._url = f"{stack.endpoint}{address.path}" if stack.endpoint else stack.outputs.api_url
        self._signer = SigV4Auth(stack.credentials, "appsync", stack.region)
        self._http = URLLib3Session(timeout=TIMEOUT_S, max_pool_connections=WRITERS)

    def put(self, item_id: str, value: int, written_at: int, traceparent: str) -> int:
        """Set `value`, the next version, the writer's clock and the write's trace context."""
        put = self._call(
            PUT,
            id=item_id,
            attributes=json.dumps({"value": value}),
            writtenAt=written_at,
            traceparent=traceparent,
        )["put"]
        return int(put["version"])

    def delete(self, item_id: str) -> int:
        """Delete it: one version above the item's last."""
        deleted = self._call(DELETE, id=item_id)["delete"]
        if deleted is None:
            raise ExperimentError(f"there was no item {item_id} to delete")
        return int(deleted["version"])

    def _call(self, query: str, **variables: Any) -> dict[str, Any]:
        request = AWSRequest(
            "POST",
            self._url,
            headers={"Host": self._host, "Content-Type": "application/json"},
            data=json.dumps({"query": query, "variables": variables}),
        )
        self._signer.add_auth(request)
        response = self._http.send(request.prepare())
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = {}
        if errors := answer.get("errors"):
            raise ExperimentError(f"AppSync: {errors[0].get('message')}")
        if response.status_code != 200:
            raise ExperimentError(f"AppSync answered {response.status_code}: {response.content[:200]!r}")
        return answer["data"]


def latency(stack: Stack, since_ms: int, until_ms: int, requests: int, patience_s: float) -> Distribution:
    """AppSync's Latency over the minutes of a run, in milliseconds: every request to the API in them.

    From a request's arrival to its answer, without the client's network, as the article took it. Metrics come
    a minute or two late: it waits until there are as many `requests`, or `patience_s`. They are sums of
    minutes, so there are no percentiles. An emulator has no such metric: the distribution is then empty.
    """
    if stack.endpoint:
        return Distribution(0)
    pages = stack.client("appsync").get_paginator("list_graphql_apis").paginate()
    (api_id,) = (
        api["apiId"]
        for page in pages
        for api in page["graphqlApis"]
        if api["uris"]["GRAPHQL"] == stack.outputs.api_url
    )
    metric = {
        "Namespace": "AWS/AppSync",
        "MetricName": "Latency",
        "Dimensions": [{"Name": "GraphQLAPIId", "Value": api_id}],
    }
    minute = timedelta(minutes=1)
    start = datetime.fromtimestamp(since_ms / 1000, UTC).replace(second=0, microsecond=0)
    end = datetime.fromtimestamp(until_ms / 1000, UTC).replace(second=0, microsecond=0) + minute
    deadline = time.monotonic() + patience_s
    while True:
        points = stack.client("cloudwatch").get_metric_statistics(
            **metric,
            StartTime=start,
            EndTime=end,
            Period=60,
            Statistics=["SampleCount", "Sum", "Maximum"],
        )["Datapoints"]
        count = round(sum(point["SampleCount"] for point in points))
        if count >= requests or time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    if not count:
        return Distribution(0)
    mean = sum(point["Sum"] for point in points) / count
    return Distribution(count, round(mean, 2), max=round(max(point["Maximum"] for point in points)))
