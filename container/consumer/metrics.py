"""The task's Prometheus metrics, read off it when they are asked for: a delivery pays nothing for them."""

from collections.abc import Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from consumer.health import judge
from consumer.task import Task


class TaskCollector(Collector):
    """Counters are of the present tenure: they begin again with the next slot."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def collect(self) -> Iterator[Metric]:
        """The metrics as they stand."""
        state, health = self._task.state(), judge(self._task.facts())
        yield GaugeMetricFamily("statecast_healthy", "0: it should be replaced", not health.unhealthy)
        yield GaugeMetricFamily("statecast_ready", "0: it is not up to date", not health.unready)
        yield GaugeMetricFamily("statecast_items", "Items held, without the system's own", state["items"])
        lag = GaugeMetricFamily(
            "statecast_watermark_lag_seconds", "Age of the newest watermark that came", labels=["forwarder"]
        )
        counts = CounterMetricFamily("statecast_deliveries", "Deliveries", labels=["forwarder", "outcome"])
        for forwarder, milliseconds in state["lag"].items():
            lag.add_metric([forwarder], milliseconds / 1000)
        for forwarder, outcomes in state["counts"].items():
            for outcome, count in outcomes.items():
                counts.add_metric([forwarder, outcome], count)
        yield from (lag, counts)
        yield GaugeMetricFamily("statecast_polling", "1: the table is polled", state["mode"] == "poll")
        yield CounterMetricFamily("statecast_fallbacks", "Times that push was late", state["fallbacks"])
        yield CounterMetricFamily("statecast_repairs", "Changes that no message told", state["repairs"])
        yield GaugeMetricFamily("statecast_poison", "Messages on their last receive", len(state["poison"]))
        yield CounterMetricFamily("statecast_refused", "Receives of what cannot be applied", state["refused"])
        yield CounterMetricFamily("statecast_confirmed", "Puts read from the table", state["confirmed"])
        yield CounterMetricFamily("statecast_undeleted", "Handled, but kept by SQS", state["undeleted"])
        if self._task.traces:
            spans = CounterMetricFamily("statecast_spans", "Spans of the process", labels=["outcome"])
            for outcome, count in self._task.traces.counted.items():
                spans.add_metric([outcome], count)
            yield spans


def exposition(task: Task) -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(TaskCollector(task))
