"""Repairs: differences that a rescan found and no message explains. There should be none."""

from collections.abc import Callable, Iterable

from consumer.message import Change


class Repairs:
    """What rescans changed, until a message with it comes through the queue within `grace_seconds`.

    Pure. Whoever calls holds the replica's lock: a message must not slip between a repair and its suspicion.
    """

    def __init__(self, grace_seconds: float, clock: Callable[[], float]) -> None:
        self.count = 0
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._suspected: dict[str, tuple[int, float]] = {}  # version and when it counts, in that order

    def suspect(self, changes: Iterable[Change]) -> None:
        """A rescan brought these changes before the queue did."""
        counts_at = self._clock() + self._grace_seconds
        for change in changes:
            self._suspected.pop(change.id, None)
            self._suspected[change.id] = change.version, counts_at

    def came(self, change: Change) -> None:
        """The queue brought this change: one of at most its version was late, not lost."""
        suspected = self._suspected.get(change.id)
        if suspected is not None and suspected[0] <= change.version:
            del self._suspected[change.id]

    def forget(self) -> None:
        """Push is late: that explains what has not come."""
        self._suspected.clear()

    def settle(self) -> list[tuple[str, int]]:
        """Count what has not come within the grace; its ids and versions."""
        lost: list[tuple[str, int]] = []
        now = self._clock()
        while self._suspected:
            item_id, (version, counts_at) = next(iter(self._suspected.items()))
            if counts_at > now:
                break
            del self._suspected[item_id]
            lost.append((item_id, version))
        self.count += len(lost)
        return lost
