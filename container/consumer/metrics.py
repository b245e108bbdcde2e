"""The task's Prometheus metrics, read off it when they are asked for: a delivery pays nothing for them."""

from collections.abc import Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from consumer.health import judge
from consumer.task import Task


class TaskCollector(Collector):
    """Counts are of the present tenure: they begin again with the next slot."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def collect(self) -> Iterator[Metric]:
        """The metrics as they stand."""
        task = self._task
        health = judge(task.facts())
        yield GaugeMetricFamily(
            "statecast_healthy", "1 unless the task should be replaced", not health.unhealthy
        )
        yield GaugeMetricFamily("statecast_ready", "1 when the task is up to date", not health.unready)
        yield GaugeMetricFamily("statecast_items", "Items held, without the system's own", len(task.replica))
        tenure = task.tenure
        if tenure is None:
            return
        inbox = tenure.inbox
        deliveries = CounterMetricFamily(
            "statecast_deliveries", "Deliveries handled", labels=["forwarder", "outcome"]
        )
        for labels, count in tuple(inbox.counted.items()):
            deliveries.add_metric(labels, count)
        yield deliveries
        lag = GaugeMetricFamily(
            "statecast_lag_seconds", "From the write to apply, of the newest delivery", labels=["forwarder"]
        )
        for forwarder, milliseconds in tuple(inbox.lag.items()):
            lag.add_metric([forwarder], milliseconds / 1000)
        yield lag
        yield CounterMetricFamily(
            "statecast_refused", "Receives of messages that could not be applied", inbox.refused
        )
        yield CounterMetricFamily(
            "statecast_confirmed", "Puts confirmed by a consistent read", inbox.confirmed
        )
        yield CounterMetricFamily("statecast_undeleted", "Handled messages that SQS kept", inbox.undeleted)
        yield GaugeMetricFamily(
            "statecast_poison", "Messages refused on their last receive", len(inbox.poison())
        )


def exposition(task: Task) -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(TaskCollector(task))
