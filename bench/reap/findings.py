"""What a run of looks at the fleet amounts to: pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.fleet import Lease

REPLACED_MS = 15_000
"""From the message's arrival in the dead-letter queue until another task is in the sick one's place."""
SICK, POISON = "sick-task", "poison-message"


@dataclass(frozen=True)
class Look:
    """The fleet at a moment, Unix milliseconds; slots by name.

    Args:
        wanted: how many tasks the service wants.
        leases: the live ones.
        stopped: the tasks that ECS was told to stop.
        digest: the table's.
        letters: how many messages each slot's dead-letter queue holds.
        alarms: the slots whose alarm is on.
        archived: why each message of the archive is there, by slot and message id.
    """

    at: int
    wanted: int
    leases: Sequence[Lease]
    stopped: Collection[str]
    digest: str
    letters: Mapping[str, int]
    alarms: Collection[str]
    archived: Mapping[tuple[str, str], str]

    @property
    def tasks(self) -> set[str]:
        """The tasks that hold a slot."""
        return {lease.task for lease in self.leases}

    @property
    def complete(self) -> bool:
        """As many tasks are ready as the service wants."""
        return sum(lease.ready for lease in self.leases) >= self.wanted

    @property
    def converged(self) -> bool:
        """They hold what the table holds, and so does every other task."""
        return self.complete and {lease.digest for lease in self.leases} == {self.digest}

    @property
    def quiet(self) -> bool:
        """No dead letter waits, and no alarm is on."""
        return not any(self.letters.values()) and not self.alarms


@dataclass(frozen=True)
class Sickened:
    """A message that one task alone cannot apply was sent to its slot's queue."""

    at: int
    task: str
    slot: str
    message: str
    others: Collection[str]

    def replaced(self, look: Look) -> bool:
        """Another task is ready in its place."""
        return self.task not in look.tasks and look.complete


@dataclass(frozen=True)
class Poisoned:
    """A message that nobody can apply was published to the topic."""

    at: int
    tasks: Collection[str]

    def archived(self, look: Look, before: Look) -> bool:
        """Each slot that is leased has had its copy archived."""
        new = {slot for (slot, _) in look.archived.keys() - before.archived.keys()}
        return look.quiet and {lease.slot for lease in look.leases} <= new


def first(looks: Sequence[Look], since: int, what: Callable[[Look], bool]) -> int | None:
    """When something was first so, from a moment on."""
    return next((look.at for look in looks if look.at >= since and what(look)), None)


def sick_run(looks: Sequence[Look], sick: Sickened, written_until: int) -> dict[str, Any]:
    """The moments of the sick task's replacement, in milliseconds from when its message is a dead letter.

    From its stop where the lease told the reaper: then the message is still in the slot's queue.
    """
    after = [look for look in looks if look.at >= sick.at]
    letter = first(after, sick.at, lambda look: bool(look.letters[sick.slot]))
    stopped = first(after, sick.at, lambda look: sick.task in look.stopped)
    told_by = "lease" if letter is None or (stopped is not None and stopped < letter) else "dead letter"
    start = stopped if told_by == "lease" else letter
    moments = {
        "alarm": first(after, sick.at, lambda look: sick.slot in look.alarms),
        "stopped": stopped,
        "left": first(after, sick.at, lambda look: sick.task not in look.tasks),
        "ready": first(after, sick.at, sick.replaced),
        "converged": first(after, written_until, lambda look: sick.replaced(look) and look.converged),
        "archived": first(after, sick.at, lambda look: (sick.slot, sick.message) in look.archived),
        "alarm_over": first(
            after, start or sick.at, lambda look: sick.task in look.stopped and sick.slot not in look.alarms
        ),
    }
    known = {
        name: at - start if at is not None and start is not None else None for name, at in moments.items()
    }
    return {
        "told_by": told_by,
        "sent_to_start_ms": start - sick.at if start is not None else None,
        "ms": known,
        "met": known["converged"] is not None and known["converged"] < REPLACED_MS,
        "others_touched": sorted(set(sick.others) & {task for look in after for task in look.stopped}),
        "why": looks[-1].archived.get((sick.slot, sick.message)),
    }


def poison_run(looks: Sequence[Look], poisoned: Poisoned) -> dict[str, Any]:
    """What became of the message that nobody can apply, and of the tasks."""
    during = [look for look in looks if look.at >= poisoned.at]
    before = [look for look in looks if look.at < poisoned.at][-1]
    letter = first(during, poisoned.at, lambda look: any(look.letters.values()))
    archived = first(during, poisoned.at, lambda look: poisoned.archived(look, before))
    new = {key: why for key, why in during[-1].archived.items() if key not in before.archived}
    return {
        "ms": {
            "letter": letter - poisoned.at if letter is not None else None,
            "archived": archived - poisoned.at if archived is not None else None,
        },
        "watched_ms": during[-1].at - poisoned.at,
        "archived": {why: list(new.values()).count(why) for why in sorted(set(new.values()))},
        "stopped": sorted({task for look in during for task in look.stopped} - set(before.stopped)),
        "left": sorted(set(poisoned.tasks) - during[-1].tasks),
    }


def problems(
    sick: Mapping[str, Any], poison: Mapping[str, Any], lost: Sequence[str], *, converged: bool
) -> list[str]:
    """What was not as it has to be, however long it took."""
    found = [f"an acknowledged write is lost: {item_id}" for item_id in lost]
    if not converged:
        found.append("in the end not all tasks hold what the table holds")
    if sick["others_touched"]:
        found.append(f"{len(sick['others_touched'])} tasks were stopped that were not sick")
    for moment in ("stopped", "ready", "converged", "alarm_over"):
        if sick["ms"][moment] is None:
            found.append(f"the sick run was not over in time: not {moment.replace('_', ' ')}")
    if sick["told_by"] == "dead letter" and sick["why"] != SICK:
        found.append(f"the sick task's message is in the archive as {sick['why']}, not as {SICK}")
    if poison["stopped"] or poison["left"]:
        found.append(f"the poison run cost {len({*poison['stopped'], *poison['left']})} tasks")
    if poison["ms"]["archived"] is None:
        found.append("not every task's copy of the poison message was archived")
    if set(poison["archived"]) - {POISON}:
        found.append(f"copies of the poison message were taken for something else: {poison['archived']}")
    return found


def show(told: Mapping[str, Any], console: Console) -> None:
    """Print the moments, and what is wrong."""
    sick, poison = told["sick"], told["poison"]
    start = "dead letter" if sick["told_by"] == "dead letter" else "stop, which the lease led to"
    table = Table("one sick task", f"s after the {start}", box=box.SIMPLE_HEAD)
    for moment, at in sick["ms"].items():
        table.add_row(moment.replace("_", " "), "–" if at is None else f"{at / 1000:.1f}")
    met = "[green]met[/]" if sick["met"] else "[red]missed[/]"
    console.print(
        table,
        f"target: replaced and converged in {REPLACED_MS / 1000:.0f} s: {met}; "
        f"{len(sick['others_touched'])} other tasks touched",
        f"one poison message: {poison['archived']} archived, {len(poison['stopped'])} tasks stopped "
        f"in {poison['watched_ms'] / 1000:.0f} s",
        f"{told['writes']} writes acknowledged, {told['lost']} lost",
        "failed" if told["problems"] else "passed",
        highlight=False,
        soft_wrap=True,
        sep="\n",
    )
    for problem in told["problems"]:
        console.print(f"[red]problem[/] {escape(problem)}", soft_wrap=True)
