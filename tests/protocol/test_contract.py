"""The model's task does what the product's does: the same histories, with `consumer.inbox` in its place.

What versions, deletes and tombstones are to a replica, case by case, is in tests/container/test_replica.py.
"""

from dataclasses import replace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from consumer.inbox import Inbox
from consumer.message import Change
from consumer.repairs import Repairs
from consumer.replica import Outcome, Replica
from consumer.watermark import Watermark
from tests.container.test_inbox import SETTINGS as INBOX_SETTINGS
from tests.protocol.cloud import MAX_RECEIVES, RETENTION_SECONDS, TABLE, Message
from tests.protocol.histories import History, System
from tests.protocol.small import SMALL
from tests.protocol.task import Steps, Task, Tenure

HISTORIES = 1_000
SETTINGS = replace(
    INBOX_SETTINGS,
    table=TABLE,
    slot_queue_urls=("00", "01"),
    slot_retention_seconds=RETENTION_SECONDS,
    max_receives=MAX_RECEIVES,
)


class WatchedReplica(Replica):
    """Tells its task of each version that it takes, whoever applies it."""

    task: "WithTheInbox"

    def apply(self, change: Change) -> Outcome:
        outcome = super().apply(change)
        if outcome == "applied":
            self.task.watch(change)
        return outcome


class WithTheInbox(Task):
    """A task that hands what it receives to the product's inbox, and is the clients that the inbox calls."""

    replica_class = WatchedReplica
    handled = 0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        cast(WatchedReplica, self.replica).task = self
        self._received: list[tuple[Message, int]] = []
        self._slot = ""

    def watch(self, change: Change) -> None:
        super()._rose(change)

    def _rose(self, change: Change) -> None:
        pass  # Told by the replica already.

    def inbox(self, tenure: Tenure) -> Steps:
        world, self._slot = self.world, tenure.lease.slot
        client = cast(Any, self)
        inbox = Inbox(
            SETTINGS,
            {},
            tenure.lease,
            leased_at=0,
            replica=self.replica,
            watermark=Watermark(client, TABLE, SETTINGS.forwarders, period_seconds=10, arrived=lambda: None),
            repairs=Repairs(10, self.steady),
            sqs=client,
            dynamodb=client,
        )
        while self.may_go_on(tenure):
            yield
            queue = world.queue(self._slot)
            self._received = tenure.received = queue.receive(world.now, world.conditions.repeated)
            yield
            tenure.received = []
            if tenure.closed:
                inbox.close()
            inbox.handle(cast(Any, [sqs(number, *of) for number, of in enumerate(self._received)]))
            WithTheInbox.handled += len(self._received)

    def get_item(self, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        if self.world.random.random() < self.world.conditions.failing:
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "GetItem")
        image = self.confirm(Key["id"]["S"])
        return {"Item": image} if image else {}

    def delete_message_batch(self, Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        done = [self._received[int(entry["ReceiptHandle"])] for entry in Entries]
        self.world.queue(self._slot).delete(done)
        return {}


def sqs(number: int, message: Message, receives: int) -> dict[str, Any]:
    return {
        "MessageId": str(number),
        "ReceiptHandle": str(number),
        "Body": message.body,
        "Attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(message.sent_at),
            "ApproximateFirstReceiveTimestamp": str(message.sent_at),
        },
    }


def test_with_the_products_inbox_the_histories_converge() -> None:
    before = WithTheInbox.handled
    for seed in range(HISTORIES):
        History(seed, System(WithTheInbox)).run()
    assert WithTheInbox.handled - before > 10 * HISTORIES


@pytest.mark.parametrize("history", SMALL)
def test_with_the_products_inbox_the_histories_that_diverged_once_converge(history: str) -> None:
    SMALL[history](System(WithTheInbox))
