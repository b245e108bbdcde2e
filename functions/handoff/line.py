"""The log: one JSON object per line on stdout, metrics in CloudWatch's embedded metric format."""

import json
import time
from collections.abc import Mapping


def now_ms() -> float:
    """The clock of this function's host, Unix milliseconds to the microsecond."""
    return time.time_ns() // 1_000 / 1_000


def tell(event: str, metrics: Mapping[str, float], **fields: object) -> None:
    """Print an event; each metric, in milliseconds, has the dimension `way`, which is one of the fields."""
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    names = [{"Name": name, "Unit": "Milliseconds"} for name in metrics]
    directive = {"Namespace": "statecast", "Dimensions": [["way"]], "Metrics": names}
    told = {"Timestamp": int(now_ms()), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": told, "event": event, **fields, **metrics}))  # noqa: T201
