"""The task: take a slot, hold it with a reader and an inbox, give it back; take another when it is lost."""

import random
from collections import Counter
from collections.abc import Mapping
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from consumer.clock import now_ms, steady
from consumer.deliveries import event_line, watermark_lines, write
from consumer.failures import CALL_ERRORS, Failures
from consumer.health import Facts
from consumer.inbox import Inbox
from consumer.lease import Lease, candidates, read_leases, slot_names, why_none
from consumer.metadata import Metadata
from consumer.reader import Mode, Reader
from consumer.repairs import Repairs
from consumer.replica import OUTCOMES, Outcome, Replica
from consumer.settings import POLL, Settings
from consumer.watermark import Watermark, late_after_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from consumer.traces import Traces

# So two renewals in a row may fail.
RENEWALS_PER_TERM = 3


class Tenure(NamedTuple):
    """A slot while it is held. No `inbox` where nothing is pushed."""

    who: Mapping[str, str]
    lease: Lease
    reader: Reader
    watermark: Watermark
    repairs: Repairs
    inbox: Inbox | None

    def up_to_date(self) -> bool:
        """Whether the table was read to its end, and what came after it comes."""
        return self.reader.complete and (self.watermark.works() or self.reader.mode == "poll")


class Task:
    """All of the consumer but its HTTP server. `tenure` is None while no slot is held.

    `traces` is None where none are sent.
    """

    def __init__(
        self,
        settings: Settings,
        metadata: Metadata,
        dynamodb: "DynamoDBClient",
        sqs: "SQSClient",
        traces: "Traces | None" = None,
    ) -> None:
        self.arn = metadata.arn
        self.replica = Replica(settings.slot_retention_seconds, steady)
        self.tenure: Tenure | None = None
        self.traces = traces
        self._settings = settings
        self._clock_error_bound = metadata.clock_error_bound
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._leasing = Failures("cannot-lease")
        self._waiting = "no slot: none was tried yet"
        self._renewal_seconds = settings.lease_seconds / RENEWALS_PER_TERM
        self._stopping = Event()
        self._wake = Event()
        self._began = steady()
        self._has_held_all = False

    def run(self) -> None:
        """Hold a slot, and another when it is lost, until `stop`."""
        while lease := self._take_slot():
            self._hold(lease)

    def stop(self) -> None:
        """Have `run` finish the batch in hand, release the slot and return."""
        self._stopping.set()
        self._wake.set()

    @property
    def mode(self) -> Mode:
        """How changes come: pushed, or polled for."""
        return self.tenure.reader.mode if self.tenure else "push" if self._settings.forwarders else "poll"

    def facts(self) -> Facts:
        """What the task's health is judged by."""
        tenure = self.tenure
        failures = [self._leasing]
        alive: dict[str, float] = {}
        if tenure:
            alive["reader"] = tenure.reader.active_at
        if tenure and tenure.inbox:
            failures += [tenure.inbox.receiving, tenure.inbox.applying]
            alive["inbox"] = tenure.inbox.active_at
        complete = tenure is not None and tenure.reader.complete
        return Facts(
            starting=None if complete or self._has_held_all else steady() - self._began,
            waiting=None if tenure else self._waiting,
            snapshot_complete=complete,
            push_works=tenure is not None and tenure.watermark.works(),
            push_late=tenure is not None and tenure.watermark.is_late(now_ms()),
            polling=self.mode == "poll",
            troubles=[trouble for failure in failures if (trouble := failure.trouble())],
            reading=tenure.reader.failures.trouble() if tenure else None,
            silent={thread: steady() - at for thread, at in alive.items()},
            long_poll_seconds=self._settings.long_poll_seconds,
            poison=len(tenure.inbox.poison()) if tenure and tenure.inbox else 0,
        )

    def state(self) -> dict[str, Any]:
        """What the task holds and how it came by it; what is counted is of the present tenure."""
        tenure = self.tenure
        inbox = tenure.inbox if tenure else None
        counted: Counter[tuple[str, Outcome]] = Counter(inbox.counted if inbox else ())
        counted[POLL, "applied"] = tenure.reader.polled if tenure else 0
        forwarders = dict.fromkeys([*self._settings.forwarders, *(forwarder for forwarder, _ in counted)])
        with self.replica.lock:
            items, digest = len(self.replica), self.replica.digest
        return {
            "task": self.arn,
            "slot": tenure.lease.slot if tenure else None,
            "clockErrorBound": self._clock_error_bound,
            "mode": self.mode,
            "items": items,
            "digest": digest,
            "lag": tenure.watermark.lag(now_ms()) if tenure else {},
            "watermark": tenure.watermark.newest() if tenure else 0,
            "counts": {
                forwarder: {outcome: counted[forwarder, outcome] for outcome in OUTCOMES}
                for forwarder in forwarders
            },
            "fallbacks": tenure.reader.fallbacks if tenure else 0,
            "repairs": tenure.repairs.count if tenure else 0,
            "refused": inbox.refused if inbox else 0,
            "confirmed": inbox.confirmed if inbox else 0,
            "undeleted": inbox.undeleted if inbox else 0,
            "poison": inbox.poison() if inbox else [],
            "refusing": inbox.refusing() if inbox else [],
        }

    def _take_slot(self) -> Lease | None:
        table = self._settings.leases_table
        slots = slot_names(self._settings.slots)
        # Without queues nothing is left in them.
        left_seconds = self._settings.long_poll_seconds + self._settings.visibility_timeout_seconds
        grace_ms = left_seconds * 1000 if self._settings.forwarders else 0
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
        self.tenure = tenure = self._begin(lease)
        write([event_line("slot taken", **tenure.who)])
        loops = {"reader": tenure.reader.run}
        if tenure.inbox:
            loops |= {"inbox": tenure.inbox.run, "watermark": tenure.watermark.run}
        # Daemons: neither a stop nor the loss of a lease waits for a long poll that is under way.
        for name, loop in loops.items():
            Thread(target=loop, name=name, daemon=True).start()
        while lease.held() and not self._stopping.is_set():
            # Woken early by a stop, and by what others wait to read in the lease.
            self._wake.wait(self._renew(tenure))
            self._wake.clear()
        self._waiting = "no slot: the last one was lost"
        tenure.reader.close()
        tenure.watermark.close()
        if tenure.inbox:
            tenure.inbox.close()
        self._has_held_all |= tenure.reader.complete
        self.tenure = None
        self._release(tenure)

    def _begin(self, lease: Lease) -> Tenure:
        settings, replica, dynamodb = self._settings, self.replica, self._dynamodb
        who = {"table": settings.table, "task": self.arn, "slot": lease.slot}
        with replica.lock:
            replica.change_queue()
            scan = replica.begin_scan()
        watermark = Watermark(
            dynamodb,
            settings.table,
            settings.forwarders,
            period_seconds=settings.watermark_seconds,
            arrived=self._wake.set,
        )
        repairs = Repairs(late_after_ms(settings.watermark_seconds) / 1000, steady)
        reader = Reader(
            settings,
            who,
            scan,
            replica=replica,
            dynamodb=dynamodb,
            watermark=watermark,
            repairs=repairs,
            changed=self._wake.set,
            traces=self.traces,
        )
        inbox = None
        if settings.forwarders:
            inbox = Inbox(
                settings,
                who,
                lease,
                leased_at=now_ms(),
                replica=replica,
                watermark=watermark,
                repairs=repairs,
                sqs=self._sqs,
                dynamodb=dynamodb,
                traces=self.traces,
            )
        return Tenure(who, lease, reader, watermark, repairs, inbox)

    def _renew(self, tenure: Tenure) -> float:
        """Renew the lease and report; the seconds until the next renewal is due."""
        state = self.state()
        told = (
            "clockErrorBound",
            "mode",
            "items",
            "digest",
            "lag",
            "watermark",
            "fallbacks",
            "repairs",
            "poison",
            "refusing",
        )
        report = {
            "ready": tenure.up_to_date(),
            # A task whose rescans fail stays ready, by what is pushed.
            "cannotRead": tenure.reader.failures.trouble() is not None,
            **{name: state[name] for name in told},
            **{outcome: sum(of[outcome] for of in state["counts"].values()) for outcome in OUTCOMES},
        }
        write(watermark_lines(tenure.who, state["lag"], fallback=state["mode"] == "poll"))
        try:
            tenure.lease.renew(report)
        except CALL_ERRORS as error:
            return min(self._leasing.add(error), self._renewal_seconds)
        self._leasing.clear()
        return self._renewal_seconds

    def _release(self, tenure: Tenure) -> None:
        try:
            event = "slot released" if tenure.lease.release() else "slot lost"
        except CALL_ERRORS as error:
            write([event_line("slot not released", **tenure.who, reason=str(error))])
        else:
            write([event_line(event, **tenure.who)])
