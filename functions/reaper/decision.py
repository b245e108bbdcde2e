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

Why = Literal["no-task", "left-over", "poison-message", "sick-task"]


class Letter(NamedTuple):
    """A message that is received no more: of which change, and when it was sent to the slot's queue."""

    change: str
    sent_at: int


class Lease(NamedTuple):
    """The lease of a slot; `poison` was refused on its last receive, `refusing` on its latest."""

    task: str
    leased_at: int
    expires_at: int
    poison: tuple[Letter, ...] = ()
    refusing: frozenset[str] = frozenset()


class Slot(NamedTuple):
    """A slot, who leases it, and what its dead-letter queue holds."""

    name: str
    lease: Lease | None
    letters: tuple[Letter, ...] = ()

    def own(self) -> frozenset[str]:
        """The changes that the task does not hold and should.

        What was sent before the task leased the slot it does hold, since its snapshot is younger.
        """
        since = self.lease.leased_at if self.lease else 0
        return frozenset(letter.change for letter in self.given_up() if letter.sent_at >= since)

    def given_up(self) -> tuple[Letter, ...]:
        """What no task will receive again from this slot's queue."""
        return (*self.letters, *(self.lease.poison if self.lease else ()))


class Memory(NamedTuple):
    """What earlier runs decided: tasks that they stopped, and changes found to be poison, each with when."""

    stopped: Mapping[str, int] = {}
    poison: Mapping[str, int] = {}


class Decision(NamedTuple):
    """What to do, by slot; `stop` by task, with the changes that it did not apply.

    Args:
        archive: the slots whose dead letters are archived, and why they are there.
        stop: the tasks to stop.
        poison: the changes that most tasks refuse, one of them for good: a person has to look.
        waiting: slots of sick tasks for which no budget is left, or that poison spares for now; their letters
            stay, and so does the alarm.
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

    poison = _held_by_most(leased) & {letter.change for slot in leased for letter in slot.given_up()}
    known |= dict.fromkeys(poison, now)
    known = dict(sorted(known.items(), key=lambda entry: entry[1])[-POISON_REMEMBERED:])

    # A stop that was decided is carried out even if the run that decided it was cut short.
    sick = {slot.name: slot.own() - known.keys() for slot in leased}
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
        return "poison-message" if {of.change for of in slot.letters} & known.keys() else "left-over"

    return Decision(
        archive={slot.name: why(slot) for slot in slots if slot.letters and slot.name not in waiting},
        stop={live[name].task: sick[name] for name in chosen},
        poison=poison,
        waiting=tuple(waiting),
        memory=Memory(stopped, known),
    )


def _held_by_most(leased: Sequence[Slot]) -> frozenset[str]:
    """The changes that more than half of the tasks, and not one alone, refuse or had taken from them."""
    held = Counter(
        change
        for slot in leased
        for change in {letter.change for letter in slot.given_up()}
        | (slot.lease.refusing if slot.lease else frozenset())
    )
    return frozenset(change for change, count in held.items() if count > max(1, len(leased) / 2))
