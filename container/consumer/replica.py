"""The replica: the copy of the table that one task holds in memory.

Pure: it does no I/O, and its only clock is the one it is given. Threads that share it hold its `lock`.

Invariants:
- the version held or buried for a key never goes down while it is remembered;
- a change applies iff its version is higher than the one held or buried, so the order and the number of
  deliveries do not matter;
- a tombstone outlives every message and every page of a scan that can still bring the deleted item back;
- the digest is that of the items held, whatever the way to them.
"""

import math
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Literal, NamedTuple

from consumer.digest import printed, term, weight
from consumer.message import Change

Outcome = Literal["applied", "duplicate", "stale"]
OUTCOMES: tuple[Outcome, ...] = ("applied", "duplicate", "stale")

# How far the clocks of SQS and of the task may be apart.
CLOCK_MARGIN_MS = 5_000


class _Held(NamedTuple):
    version: int
    item: str
    weight: int


class _Buried(NamedTuple):
    version: int
    expires_at: float


class Scan(NamedTuple):
    """A consistent Scan under way: what was held when it began and it has not returned yet."""

    unseen: dict[str, _Held]


class Replica:
    """The items of the table, each at the highest version heard of.

    `retention_seconds` is how long a queue keeps a message; `clock` gives seconds and never goes back.
    """

    def __init__(self, retention_seconds: float, clock: Callable[[], float]) -> None:
        self.lock = Lock()
        self._tombstone_seconds = retention_seconds + CLOCK_MARGIN_MS / 1000
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._buried: dict[str, _Buried] = {}  # in the order of expiry
        self._digest = 0
        self._system_items = 0
        self._forgotten = 0  # the highest version of a tombstone that has expired
        self._scan: Scan | None = None
        self._scanned_until: float = math.inf

    def __len__(self) -> int:
        """How many items are held, without the system's own."""
        return len(self._held) - self._system_items

    @property
    def digest(self) -> str:
        """The digest of the items held, 32 hex digits."""
        return printed(self._digest)

    def items(self) -> Iterator[tuple[str, int, str]]:
        """(id, version, DynamoDB JSON) of each item held, without the system's own."""
        return ((item_id, held.version, held.item) for item_id, held in self._held.items() if held.weight)

    def judge(self, change: Change) -> Outcome:
        """What `apply` would make of the change."""
        known = self._held.get(change.id) or self._buried.get(change.id)
        if known is None or change.version > known.version:
            return "applied"
        return "duplicate" if change.version == known.version else "stale"

    def apply(self, change: Change) -> Outcome:
        """Take the change in iff its version is higher than the one held or buried."""
        item_id, version, item = change
        held = self._held.get(item_id)
        known = held or self._buried.get(item_id)
        if known is not None and version <= known.version:
            return "duplicate" if version == known.version else "stale"
        if item is None:
            self._bury(item_id, version)
        elif held is not None:
            self._digest += 2 * held.weight * (version - held.version)
            self._held[item_id] = _Held(version, item, held.weight)
        else:
            self._buried.pop(item_id, None)
            item_weight = weight(item_id)
            self._digest += term(item_weight, version)
            self._held[item_id] = _Held(version, item, item_weight)
            self._system_items += not item_weight
        return "applied"

    def doubts(self, change: Change, made_at: int) -> bool:
        """Whether a message's put may be older than a delete that this replica does not know of.

        A slot's queue can bring what its previous lessee left, and what was long on its way. So a put of a
        key that is not known to be live is to be confirmed by a consistent read if it was made (Unix
        milliseconds) before the last completed scan ended, or before any has, or if it may be older than a
        tombstone that has expired.
        """
        if change.item is None or self._is_live(change.id):
            return False
        return made_at < self._scanned_until + CLOCK_MARGIN_MS or change.version <= self._forgotten

    def change_queue(self) -> None:
        """Another queue is being read: what it holds is doubted until a scan that begins now is complete."""
        self._scan = None
        self._scanned_until = math.inf

    def begin_scan(self) -> Scan:
        """Begin a consistent Scan of the whole table; an unfinished one no longer counts."""
        self._scan = Scan(dict(self._held))
        return self._scan

    def page(self, scan: Scan, changes: list[Change]) -> list[Change]:
        """Take in items that the scan returned, from any of its segments; which of them were news.

        A page of a scan that no longer counts is left out: its items may have been deleted since.
        """
        if scan is not self._scan:
            return []
        news: list[Change] = []
        for change in changes:
            scan.unseen.pop(change.id, None)
            if self.apply(change) == "applied":
                news.append(change)
        return news

    def end_scan(self, scan: Scan, ended_at: int) -> list[Change]:
        """The scan returned all its pages by `ended_at` (Unix milliseconds); the deletes that it found.

        A key is taken for deleted iff it was held when the scan began, holds the same version now, and the
        scan did not return it. It is buried at that version: its REMOVE, one higher, still applies.
        """
        if scan is not self._scan:
            return []
        deleted: list[Change] = []
        for item_id, former in scan.unseen.items():
            held = self._held.get(item_id)
            if held is not None and held.version == former.version:
                self._bury(item_id, held.version)
                deleted.append(Change(item_id, held.version + 1, None))
        self._scan = None
        self._scanned_until = ended_at
        return deleted

    def _is_live(self, item_id: str) -> bool:
        """Whether the item is held, and not only from the time of another queue."""
        if item_id not in self._held:
            return False
        return self._scanned_until != math.inf or (
            self._scan is not None and item_id not in self._scan.unseen
        )

    def _bury(self, item_id: str, version: int) -> None:
        held = self._held.pop(item_id, None)
        if held is not None:
            self._digest -= term(held.weight, held.version)
            self._system_items -= not held.weight
        now = self._clock()
        self._buried.pop(item_id, None)
        self._buried[item_id] = _Buried(version, now + self._tombstone_seconds)
        # A page in hand can hold what was deleted since: while a scan is under way, nothing is forgotten.
        while self._scan is None and self._buried[first := next(iter(self._buried))].expires_at <= now:
            self._forgotten = max(self._forgotten, self._buried.pop(first).version)
