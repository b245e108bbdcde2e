"""The snapshot: a consistent Scan of the whole table, while the inbox goes on applying changes."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

from consumer.clock import now_ms
from consumer.deliveries import event_line, write
from consumer.failures import CALL_ERRORS, Failures
from consumer.message import from_item
from consumer.replica import Replica

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Snapshot:
    """One scan; `complete` once every page is in the replica. Items without a version are left out."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, replica: Replica) -> None:
        self.complete = False
        self.failures = Failures("read the snapshot")
        self._dynamodb = dynamodb
        self._table = table
        self._replica = replica
        self._closed = Event()

    def run(self, completed: Callable[[], None]) -> None:
        """Scan to the end and say so; a page that fails is tried again until `close`."""
        with self._replica.lock:
            scan = self._replica.begin_scan()
        unversioned = 0
        for page in self._pages():
            changes = [change for item in page if (change := from_item(item))]
            with self._replica.lock:
                self._replica.page(scan, changes)
            unversioned += len(page) - len(changes)
        if not self._closed.is_set():
            with self._replica.lock:
                self._replica.end_scan(scan, now_ms())
            self.complete = True
            write([event_line("snapshot complete", items=len(self._replica), unversioned=unversioned)])
            completed()

    def close(self) -> None:
        """Give up what is not complete."""
        self._closed.set()

    def _pages(self) -> Iterator[list[Any]]:
        start: dict[str, Any] = {}
        while not self._closed.is_set():
            try:
                page = self._dynamodb.scan(TableName=self._table, ConsistentRead=True, **start)
            except CALL_ERRORS as error:
                self._closed.wait(self.failures.add(error))
                continue
            self.failures.clear()
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
