"""The inbox: the loop on a slot's queue. Receive, decode, apply, log, and only then delete."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from consumer.clock import now_ms, steady
from consumer.deliveries import delivery_line, event_line, write
from consumer.digest import SYSTEM_PREFIX
from consumer.failures import CALL_ERRORS, Failures
from consumer.lease import Lease
from consumer.message import SYSTEM_ATTRIBUTES, Delivery, Refusal, decode, from_item
from consumer.repairs import Repairs
from consumer.replica import Outcome, Replica
from consumer.settings import Settings
from consumer.watermark import PREFIX, Watermark

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, MessageTypeDef

    from consumer.traces import Traces

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
BATCH = 10
# A lease shows the newest few; more would say nothing else.
POISON_SHOWN = 10
# More, since what all tasks refuse is found by what they have in common.
REFUSALS_SHOWN = 50


class Inbox:
    """One tenure of a slot's queue, which began at `leased_at` (Unix ms). Its counts begin at zero."""

    def __init__(
        self,
        settings: Settings,
        who: Mapping[str, str],
        lease: Lease,
        *,
        leased_at: int,
        replica: Replica,
        watermark: Watermark,
        repairs: Repairs,
        sqs: "SQSClient",
        dynamodb: "DynamoDBClient",
        traces: "Traces | None" = None,
    ) -> None:
        self.counted: Counter[tuple[str, Outcome]] = Counter()
        self.refused = self.confirmed = self.undeleted = 0
        self.receiving = Failures("cannot-receive")
        # A message that failed comes again after the visibility timeout, until it is a dead letter.
        self.applying = Failures("cannot-apply", lapse_seconds=2 * settings.visibility_timeout_seconds)
        self.active_at = steady()
        self._settings = settings
        self._queue_url = settings.slot_queue_urls[int(lease.slot)]
        self._who = who
        self._lease = lease
        self._leased_at = leased_at
        self._replica = replica
        self._watermark = watermark
        self._repairs = repairs
        self._sqs = sqs
        self._dynamodb = dynamodb
        self._traces = traces
        self._poison: deque[tuple[float, Refusal]] = deque(maxlen=POISON_SHOWN)
        # By message, the latest last. Not for as long as the queue keeps a message but for twice that: what
        # others refuse is to be known for as long as it is anyone's poison.
        self._refusing: dict[str, tuple[float, Refusal]] = {}
        self._closed = Event()
        self._in_hand = Lock()

    def run(self) -> None:
        """Receive and handle batches until `close`, or until the lease is lost."""
        while self._may_go_on():
            try:
                messages = self._receive()
            except CALL_ERRORS as error:
                self._closed.wait(self.receiving.add(error))
            else:
                self.receiving.clear()
                with self._in_hand:
                    self.handle(messages)
            self.active_at = steady()

    def close(self) -> None:
        """Receive no more; returns when the batch in hand is done, without waiting for a long poll."""
        self._closed.set()
        with self._in_hand:
            pass

    def handle(self, messages: "Sequence[MessageTypeDef]") -> None:
        """Apply a batch, log it, delete it. What comes too late for the lease is left to the queue."""
        if not messages or not self._may_go_on():
            return
        received_at = now_ms()
        lines: list[str] = []
        done: list[DeleteMessageBatchRequestEntryTypeDef] = []
        told: list[tuple[Delivery, Outcome, int]] = []
        for number, message in enumerate(messages):
            # Each message may need a read that hangs.
            self.active_at = steady()
            delivery = decode(message, self._settings.table)
            if isinstance(delivery, Refusal):
                lines.append(self._refuse(delivery))
                continue
            try:
                outcome = self._apply(delivery)
            except CALL_ERRORS as error:
                self.applying.add(error)
                reason = f"the item could not be read: {error}"
                lines.append(self._refuse(delivery.refused(reason)))
                continue
            self._refusing.pop(delivery.message, None)
            if outcome is not None:
                self.applying.clear()
                self.counted[delivery.forwarder, outcome] += 1
                applied_at = now_ms()
                clocks = received_at, applied_at
                lines.append(delivery_line(self._who, delivery, outcome, *clocks, since=self._leased_at))
                told.append((delivery, outcome, applied_at))
            done.append({"Id": str(number), "ReceiptHandle": message.get("ReceiptHandle", "")})
        write(lines)
        self.active_at = steady()
        if done and self._lease.held():
            self._delete(done)
        if self._traces:
            for delivery, outcome, applied_at in told:
                self._traces.delivered(self._lease.slot, delivery, outcome, applied_at)

    def poison(self) -> list[dict[str, Any]]:
        """Messages that were refused on their last receive, for as long as a queue keeps a message."""
        since = steady() - self._settings.slot_retention_seconds
        return [_told(of) for at, of in tuple(self._poison) if at >= since]

    def refusing(self) -> list[dict[str, Any]]:
        """Messages whose latest receive was refused, be it the last or not."""
        since = steady() - 2 * self._settings.slot_retention_seconds
        return [_told(of) for at, of in tuple(self._refusing.values()) if at >= since]

    def _may_go_on(self) -> bool:
        return not self._closed.is_set() and self._lease.held()

    def _receive(self) -> "Sequence[MessageTypeDef]":
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=self._settings.long_poll_seconds,
            MessageSystemAttributeNames=SYSTEM_ATTRIBUTES,
        )
        return answer.get("Messages", ())

    def _apply(self, delivery: Delivery) -> Outcome | None:
        """What became of a change. None: it was of the system's own, which are not applied."""
        change = delivery.change
        if change.id.startswith(SYSTEM_PREFIX):
            if change.id.startswith(PREFIX) and delivery.written_at is not None:
                self._watermark.came(delivery.forwarder, delivery.written_at)
            return None
        with self._replica.lock:
            self._repairs.came(change)
            outcome = self._replica.judge(change)
            doubtful = delivery.pointer or self._replica.doubts(change, delivery.made_at)
            if outcome != "applied" or not doubtful:
                return self._replica.apply(change)
        # Consistent: it gives this write or a later one, or nothing because a delete came after it.
        item = self._dynamodb.get_item(
            TableName=self._settings.table, Key={"id": {"S": change.id}}, ConsistentRead=True
        ).get("Item")
        self.confirmed += 1
        current = from_item(item) if item else None
        if current is None:
            return "stale"
        with self._replica.lock:
            return self._replica.apply(current)

    def _refuse(self, refusal: Refusal) -> str:
        self.refused += 1
        self._refusing.pop(refusal.message, None)
        self._refusing[refusal.message] = (steady(), refusal)
        if len(self._refusing) > REFUSALS_SHOWN:
            del self._refusing[next(iter(self._refusing))]
        if refusal.receives >= self._settings.max_receives:
            self._poison.append((steady(), refusal))
        told = ("message", "reason", "receives", "id", "version")
        return event_line("refused", **self._who, **{name: getattr(refusal, name) for name in told})

    def _delete(self, done: "list[DeleteMessageBatchRequestEntryTypeDef]") -> None:
        try:
            failed = self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=done).get("Failed", [])
        except CALL_ERRORS as error:
            undeleted, reason = len(done), str(error)
        else:
            undeleted, reason = len(failed), "; ".join(f"{entry['Code']}" for entry in failed)
        if undeleted:
            # They come again, as duplicates.
            self.undeleted += undeleted
            write([event_line("undeleted", **self._who, messages=undeleted, reason=reason)])


def _told(of: Refusal) -> dict[str, Any]:
    return {
        "message": of.message,
        "id": of.id,
        "version": of.version,
        "published": of.published,
        "sentAt": of.sent_at,
        "reason": of.reason,
    }
