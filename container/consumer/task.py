"""The task: take a slot, hold it with a snapshot and an inbox, give it back; take another when it is lost."""

import random
from collections import Counter
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from consumer.clock import now_ms, steady
from consumer.deliveries import event_line, write
from consumer.failures import CALL_ERRORS, Failures
from consumer.health import Facts
from consumer.inbox import Inbox
from consumer.lease import Lease, candidates, read_leases, slot_names, why_none
from consumer.message import FORWARDERS
from consumer.replica import OUTCOMES, Outcome, Replica
from consumer.settings import Settings
from consumer.snapshot import Snapshot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

# So two renewals in a row may fail.
RENEWALS_PER_TERM = 3


class Tenure(NamedTuple):
    """A slot while it is held: the lease, the snapshot that it began with, and the inbox."""

    lease: Lease
    snapshot: Snapshot
    inbox: Inbox


class Task:
    """All of the consumer but its HTTP server. `tenure` is None while no slot is held."""

    def __init__(self, settings: Settings, arn: str, dynamodb: "DynamoDBClient", sqs: "SQSClient") -> None:
        self.arn = arn
        self.replica = Replica(settings.slot_retention_seconds, steady)
        self.tenure: Tenure | None = None
        self._settings = settings
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._leasing = Failures("take or renew a lease")
        self._waiting = "no slot: none was tried yet"
        self._renewal_seconds = settings.lease_seconds / RENEWALS_PER_TERM
        self._stopping = Event()
        self._wake = Event()

    def run(self) -> None:
        """Hold a slot, and another when it is lost, until `stop`."""
        while lease := self._take_slot():
            self._hold(lease)

    def stop(self) -> None:
        """Have `run` finish the batch in hand, release the slot and return."""
        self._stopping.set()
        self._wake.set()

    def facts(self) -> Facts:
        """What the task's health is judged by."""
        tenure = self.tenure
        failures = [self._leasing]
        if tenure:
            failures += [tenure.snapshot.failures, tenure.inbox.receiving, tenure.inbox.applying]
        return Facts(
            waiting=None if tenure else self._waiting,
            snapshot_complete=tenure is not None and tenure.snapshot.complete,
            troubles=[trouble for failure in failures if (trouble := failure.trouble())],
            silent_seconds=steady() - tenure.inbox.active_at if tenure else 0,
            long_poll_seconds=self._settings.long_poll_seconds,
            poison=len(tenure.inbox.poison()) if tenure else 0,
        )

    def state(self) -> dict[str, Any]:
        """What the task holds and how it came by it; what is counted is of the present tenure."""
        tenure = self.tenure
        inbox = tenure.inbox if tenure else None
        counted = inbox.counted if inbox else Counter[tuple[str, Outcome]]()
        with self.replica.lock:
            items, digest = len(self.replica), self.replica.digest
        return {
            "task": self.arn,
            "slot": tenure.lease.slot if tenure else None,
            "mode": "push",
            "items": items,
            "digest": digest,
            "lag": {forwarder: inbox and inbox.lag.get(forwarder) for forwarder in FORWARDERS},
            "counts": {
                forwarder: {outcome: counted[forwarder, outcome] for outcome in OUTCOMES}
                for forwarder in FORWARDERS
            },
            "refused": inbox.refused if inbox else 0,
            "confirmed": inbox.confirmed if inbox else 0,
            "undeleted": inbox.undeleted if inbox else 0,
            "poison": inbox.poison() if inbox else [],
        }

    def _take_slot(self) -> Lease | None:
        table = self._settings.leases_table
        slots = slot_names(len(self._settings.slot_queue_urls))
        grace_ms = (self._settings.long_poll_seconds + self._settings.visibility_timeout_seconds) * 1000
        while not self._stopping.is_set():
            try:
                found = read_leases(self._dynamodb, table, slots)
                # Or all the tasks of a new fleet would try the same slots in the same order.
                random.shuffle(found)
                for seen in candidates(found, now_ms(), grace_ms):
                    lease = Lease(self._dynamodb, table, seen.slot, seconds=self._settings.lease_seconds)
                    if lease.acquire(seen, self.arn):
                        self._leasing.clear()
                        return lease
            except CALL_ERRORS as error:
                self._stopping.wait(self._leasing.add(error))
            else:
                self._leasing.clear()
                self._waiting = why_none(found, now_ms(), grace_ms)
                self._stopping.wait(self._renewal_seconds)
        return None

    def _hold(self, lease: Lease) -> None:
        with self.replica.lock:
            self.replica.change_queue()
        snapshot = Snapshot(self._dynamodb, self._settings.table, self.replica)
        inbox = Inbox(
            self._settings, self.arn, lease, replica=self.replica, sqs=self._sqs, dynamodb=self._dynamodb
        )
        self.tenure = tenure = Tenure(lease, snapshot, inbox)
        self._say("slot taken", lease)
        # Daemons: neither a stop nor the loss of a lease waits for a long poll that is under way.
        Thread(target=inbox.run, name="inbox", daemon=True).start()
        Thread(target=snapshot.run, args=(self._wake.set,), name="snapshot", daemon=True).start()
        while lease.held() and not self._stopping.is_set():
            # Woken early by a stop, and by the snapshot's end, which others wait to read in the lease.
            self._wake.wait(self._renew(tenure))
            self._wake.clear()
        self._waiting = "no slot: the last one was lost"
        snapshot.close()
        inbox.close()
        self.tenure = None
        self._release(lease)

    def _renew(self, tenure: Tenure) -> float:
        """Renew the lease; the seconds until the next renewal is due."""
        state = self.state()
        report = {
            "ready": tenure.snapshot.complete,
            **{name: state[name] for name in ("mode", "items", "digest", "poison")},
            **{outcome: sum(of[outcome] for of in state["counts"].values()) for outcome in OUTCOMES},
            "lag": {forwarder: lag for forwarder, lag in state["lag"].items() if lag is not None},
        }
        try:
            tenure.lease.renew(report)
        except CALL_ERRORS as error:
            return min(self._leasing.add(error), self._renewal_seconds)
        self._leasing.clear()
        return self._renewal_seconds

    def _release(self, lease: Lease) -> None:
        try:
            released = lease.release()
        except CALL_ERRORS as error:
            self._say("slot not released", lease, reason=str(error))
        else:
            self._say("slot released" if released else "slot lost", lease)

    def _say(self, event: str, lease: Lease, **fields: object) -> None:
        write([event_line(event, task=self.arn, slot=lease.slot, **fields)])
