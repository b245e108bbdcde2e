"""Whom to stop and what to archive: a pure decision. A sick task is told from a poison message by the others.

A change is named by a text: its key and version, or its message where it cannot be read. Times are Unix
milliseconds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

# At most a fifth of the fleet, and one task always, in ten minutes: what it costs to be wrong.
WINDOW_MS = 10 * 60 * 1000
SHARE = 5
# A change that was found to be poison is remembered for as long as a queue may keep a copy of it.
POISON_MS = 24 * 60 * 60 * 1000
# The newest: they share one item of the leases table.
POISON_REMEMBERED = 100
# So many of a slot's letters are looked at; where there are as many, there may be more.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
LETTERS_SEEN = 10

Why = Literal["no-task", "left-over", "poison-message", "sick-task"]


class Letter(NamedTuple):
    """A message that is received no more: of which change, and when it was sent to the slot's queue."""

    change: str
    sent_at: int


class Lease(NamedTuple):
    """The lease of a slot; `poison` was refused on its last receive, `refusing` on its latest.

    `full`: it tells of as many refusals as a lease may, so there may be others.
    """

    task: str
    leased_at: int
    expires_at: int
    poison: tuple[Letter, ...] = ()
    refusing: frozenset[str] = frozenset()
    full: bool = False


class Slot(NamedTuple):
    """A slot, who leases it, and what its dead-letter queue holds."""

    name: str
    lease: Lease | None
    letters: tuple[Letter, ...] = ()

    def own(self, since: int) -> frozenset[str]:
        """The changes, sent `since`, that the task does not hold and should.

        What was sent before the task leased the slot it does hold, since its snapshot is younger.
        """
        since = max(since, self.lease.leased_at if self.lease else 0)
        return frozenset(letter.change for letter in self.given_up() if letter.sent_at >= since)

    def refused(self) -> frozenset[str]:
        """The changes that the task refuses or had taken from it, as far as is told."""
        refusing = self.lease.refusing if self.lease else frozenset[str]()
        return refusing | {letter.change for letter in self.given_up()}

    def full(self) -> bool:
        """Whether there may be more than is told: what is not told of may be refused all the same."""
        return len(self.letters) >= LETTERS_SEEN or (self.lease is not None and self.lease.full)

    def given_up(self) -> tuple[Letter, ...]:
        """What no task will receive again from this slot's queue."""
        return (*self.letters, *(self.lease.poison if self.lease else ()))


class Memory(NamedTuple):
    """What earlier runs decided: tasks that they stopped, and changes found to be poison, each with when.

    `flooded_at`: when last most tasks refused more than is told. What was sent before is held against nobody,
    since the reports fade, and letters are archived, sooner at one slot than at the next.
    """

    stopped: Mapping[str, int] = {}
    poison: Mapping[str, int] = {}
    flooded_at: int = 0


class Decision(NamedTuple):
    """What to do, by slot; `stop` by task, with the changes that it did not apply.

    Args:
        archive: the slots whose dead letters are archived, and why they are there.
        stop: the tasks to stop.
        poison: the changes that most tasks refuse, or may, one of them for good: a person has to look.
        waiting: slots of sick tasks for which no budget is left, or that poison spares for now; letters that
            are held against them stay, and so does the alarm.
        memory: to be in place before anything is done.
    """

    archive: Mapping[str, Why]
    stop: Mapping[str, frozenset[str]]
    poison: frozenset[str]
    waiting: tuple[str, ...]
    memory: Memory


def decide(slots: Sequence[Slot], memory: Memory, now: int) -> Decision:
    """What to do about the dead letters of these slots, which are all there are."""
    stopped = {task: at for task, at in memory.stopped.items() if now - at < WINDOW_MS}
    known = {change: at for change, at in memory.poison.items() if now - at < POISON_MS}
    live = {slot.name: slot.lease for slot in slots if slot.lease and slot.lease.expires_at > now}
    leased = [slot for slot in slots if slot.name in live]

    most = max(1, len(leased) / 2)
    full = sum(slot.full() for slot in leased)
    flooded_at = now if full > most else memory.flooded_at
    # A full slot may hold any change: only a task that tells all it refuses is a witness that it does not.
    told = Counter(change for slot in leased if not slot.full() for change in slot.refused())
    given_up = {letter.change for slot in leased for letter in slot.given_up()}
    poison = frozenset(change for change in given_up if told[change] + full > most)
    known |= dict.fromkeys(poison, now)
    known = dict(sorted(known.items(), key=lambda entry: entry[1])[-POISON_REMEMBERED:])

    # A stop that was decided is carried out even if the run that decided it was cut short.
    sick = {slot.name: slot.own(flooded_at) - known.keys() for slot in leased}
    again = [name for name, lease in live.items() if lease.task in stopped]
    fresh = [name for name, changes in sick.items() if changes and name not in again]
    budget = max(0, max(1, len(live) // SHARE) - len(stopped))
    chosen = [] if poison else [*again, *fresh[:budget]]
    stopped |= {live[name].task: now for name in chosen if name not in again}
    waiting = [name for name in fresh if name not in chosen]

    def why(slot: Slot) -> Why:
        if slot.name not in live:
            return "no-task"
        if slot.name in chosen:
            return "sick-task"
        poisoned = any(of.change in known or of.sent_at < flooded_at for of in slot.letters)
        return "poison-message" if poisoned else "left-over"

    def stays(slot: Slot) -> bool:
        return slot.name in waiting and not sick[slot.name].isdisjoint(of.change for of in slot.letters)

    return Decision(
        archive={slot.name: why(slot) for slot in slots if slot.letters and not stays(slot)},
        stop={live[name].task: sick[name] for name in chosen},
        poison=poison,
        waiting=tuple(waiting),
        memory=Memory(stopped, known, flooded_at),
    )
