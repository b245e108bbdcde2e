"""The protocol with one rule broken each. `MUTANTS` must all be told from the product by random histories."""

from collections.abc import Generator

from consumer.message import Change, Delivery
from consumer.replica import CLOCK_MARGIN_MS, Outcome, Replica, Scan
from tests.protocol.cloud import Image, Message, Table
from tests.protocol.histories import System
from tests.protocol.task import Steps, Task, Tenure

EARLY_SECONDS = 60


class OnlyTheEndCounts(Task):
    """A mutant whose versions go down in passing: it is killed where a task does not end with the table."""

    def _rose(self, change: Change) -> None:
        pass


# The seven of the design.


class ScansBeforeTheLease(Task):
    """List, then lease: what a former lessee takes from the queue in between is missed."""

    def hold_slots(self) -> Steps:
        scan = self.replica.begin_scan()
        after: str | None = ""
        while after is not None:
            images, after = self.page(after)
            yield
            self.take_page(scan, images)
        self.replica.end_scan(scan, self.now_ms())
        yield from super().hold_slots()

    def begin(self, tenure: Tenure) -> None:
        tenure.ready = True
        self.threads["inbox"] = self.inbox(tenure)


class ArrivalOrderWins(OnlyTheEndCounts):
    """Whatever comes last is the state."""

    class replica_class(Replica):  # noqa: N801
        def judge(self, change: Change) -> Outcome:
            return "applied"

        def apply(self, change: Change) -> Outcome:
            self._bury(change.id, 0)
            return super().apply(change)


class CounterRestartsAfterADelete(Table):
    """`version = if_not_exists(version, 0) + 1`: a recreated item is below its old self."""

    def version(self, key: str, now: int) -> int:
        return super().version(key, 0)


class NoTombstones(OnlyTheEndCounts):
    """A delete leaves nothing behind."""

    class replica_class(Replica):  # noqa: N801
        def _bury(self, item_id: str, version: int) -> None:
            super()._bury(item_id, version)
            self._buried.clear()


class RemoveAtItsOldVersion(Task):
    """A REMOVE has the version of the item that it removed, and 'higher wins' ignores it."""

    def decode(self, message: Message) -> Delivery:
        delivery = super().decode(message)
        change = delivery.change
        if change.item is None:
            change = change._replace(version=change.version - 1)
        return delivery._replace(change=change)


class BelievesLeftovers(Task):
    """No put is doubted."""

    def doubts(self, delivery: Delivery) -> bool:
        return False


class AbsentAtTheEndSoDeleted(Task):
    """The end of a scan deletes whatever is held and was not returned, however new."""

    class replica_class(Replica):  # noqa: N801
        def begin_scan(self) -> Scan:
            self._returned: set[str] = set()
            return super().begin_scan()

        def page(self, scan: Scan, changes: list[Change]) -> list[Change]:
            self._returned |= {change.id for change in changes}
            return super().page(scan, changes)

        def end_scan(self, scan: Scan, ended_at: int) -> list[Change]:
            counts = scan is self._scan
            deleted = super().end_scan(scan, ended_at)
            for key in [key for key in self._held if key not in self._returned] if counts else ():
                self._bury(key, self._held[key].version)
            return deleted


# Ours.


class TombstonesExpireBeforeMessages(OnlyTheEndCounts):
    """A tombstone stays for a minute; a message may wait for ten."""

    class replica_class(Replica):  # noqa: N801
        def judge(self, change: Change) -> Outcome:
            ends = self._clock() + self._tombstone_seconds - EARLY_SECONDS
            self._buried = {key: buried for key, buried in self._buried.items() if buried.expires_at > ends}
            return super().judge(change)


class DeletesBeforeItHasApplied(Task):
    """The message is gone from the queue even if the read that it needs fails."""

    def handle(self, delivery: Delivery) -> Generator[None, None, bool]:
        yield from super().handle(delivery)
        return True


class ConfirmsByAnEventualRead(Task):
    """GetItem without ConsistentRead: it gives the item of a while ago, or none."""

    def confirm(self, key: str) -> Image | None:
        return self.world.random.choice(self.world.table.past.get(key, [None])[-3:])


class ScansWithoutConsistency(Task):
    """Scan without ConsistentRead: the same, for a page."""

    def page(self, after: str) -> tuple[list[Image], str | None]:
        images, last = super().page(after)
        past = (self.world.table.past[image["id"]["S"]][-2:] for image in images)
        return [old for images in past if (old := self.world.random.choice(images))], last


class SkipsTheFirstPage(Task):
    """A scan that begins with its second page."""

    def page(self, after: str) -> tuple[list[Image], str | None]:
        images, last = super().page(after)
        return (images if after else []), last


class TakesASlotWithoutASnapshot(Task):
    """A task that lost its slot goes on with what it holds."""

    _began = False

    def begin(self, tenure: Tenure) -> None:
        if not self._began:
            self._began = True
            super().begin(tenure)
        else:
            tenure.ready = True
            self.threads["inbox"] = self.inbox(tenure)


class TrustsWhatItHeldBefore(Task):
    """What a task held when it took another slot counts as live before the scan has returned it."""

    class replica_class(Replica):  # noqa: N801
        def _is_live(self, item_id: str) -> bool:
            return item_id in self._held


class TakesPagesOfAScanThatWasReplaced(Task):
    """A page counts whenever it arrives, even after its tenure."""

    class replica_class(Replica):  # noqa: N801
        def page(self, scan: Scan, changes: list[Change]) -> list[Change]:
            for change in changes:
                scan.unseen.pop(change.id, None)
            return [change for change in changes if self.apply(change) == "applied"]


class CountsAScanThatWasReplaced(Task):
    """The end of an earlier scan is taken for the end of the present one."""

    class replica_class(Replica):  # noqa: N801
        def end_scan(self, scan: Scan, ended_at: int) -> list[Change]:
            return super().end_scan(self._scan or scan, ended_at)


class BuriesForGood(Task):
    """What a scan did not return never comes back."""

    class replica_class(Replica):  # noqa: N801
        def end_scan(self, scan: Scan, ended_at: int) -> list[Change]:
            before = set(self._held)
            deleted = super().end_scan(scan, ended_at)
            for key in sorted(before - self._held.keys()):
                self._bury(key, 1 << 62)
            return deleted


class NoMarginForClocks(Task):
    """When a change was made and when the scan ended are compared as if all clocks were one."""

    class replica_class(Replica):  # noqa: N801
        def end_scan(self, scan: Scan, ended_at: int) -> list[Change]:
            return super().end_scan(scan, ended_at - CLOCK_MARGIN_MS)


class DoubtsByWhenItWasSent(Task):
    """A put that was long on its way counts as new."""

    def doubts(self, delivery: Delivery) -> bool:
        return self.replica.doubts(delivery.change, delivery.sqs_sent_at)


class ForgetsDuringAScan(Task):
    """A tombstone expires although a page from before it is in hand."""

    class replica_class(Replica):  # noqa: N801
        def _bury(self, item_id: str, version: int) -> None:
            scan, self._scan = self._scan, None
            super()._bury(item_id, version)
            self._scan = scan


class ForgetsThatTombstonesExpired(Task):
    """A put that is older than an expired tombstone counts as new."""

    class replica_class(Replica):  # noqa: N801
        def doubts(self, change: Change, made_at: int) -> bool:
            self._forgotten = 0
            return super().doubts(change, made_at)


class DeletesPastItsLease(Task):
    """The lease is not asked for after a receive, nor before a delete."""

    def may_handle(self, tenure: Tenure) -> bool:
        return True

    def may_delete(self, tenure: Tenure) -> bool:
        return True


class TakesExpiredSlotsAtOnce(Task):
    """No grace for a lessee whose clock is behind."""

    grace_ms = 0


class TakesPointersForItems(Task):
    """What identifies a large item is taken for the item."""

    def decode(self, message: Message) -> Delivery:
        return super().decode(message)._replace(pointer=False)


MUTANTS = {
    mutant.__name__: System(table=mutant) if issubclass(mutant, Table) else System(mutant)
    for mutant in (
        ScansBeforeTheLease,
        ArrivalOrderWins,
        CounterRestartsAfterADelete,
        NoTombstones,
        RemoveAtItsOldVersion,
        BelievesLeftovers,
        AbsentAtTheEndSoDeleted,
        TombstonesExpireBeforeMessages,
        DeletesBeforeItHasApplied,
        ConfirmsByAnEventualRead,
        ScansWithoutConsistency,
        SkipsTheFirstPage,
        TakesASlotWithoutASnapshot,
        TrustsWhatItHeldBefore,
        TakesPagesOfAScanThatWasReplaced,
        CountsAScanThatWasReplaced,
        BuriesForGood,
        NoMarginForClocks,
        DoubtsByWhenItWasSent,
        ForgetsDuringAScan,
        ForgetsThatTombstonesExpired,
        DeletesPastItsLease,
        TakesExpiredSlotsAtOnce,
        TakesPointersForItems,
    )
}
