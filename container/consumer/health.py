"""Health: a pure judgement of what the task knows about itself.

Unhealthy means 'replace me', so only what a replacement can cure counts: that a service throttles or fails is
never unhealthy. A task that has just begun is 'not healthy yet': a deployment that counted it would stop the
tasks which hold the table before it does.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consumer.failures import Trouble

# A call that fails for longer than this, retries included, will not recover by itself.
PATIENCE_SECONDS = 30.0
# Without an answer it is this task's own network, which a replacement cures, or the service: then all tasks
# would be replaced, none of the new ones could read, and the last known state would be gone. So a task that
# holds it waits until people, whom alarms call after five minutes, have had ten more to see which it is.
UNANSWERED_PATIENCE_SECONDS = 900.0
# How much longer than its long poll a thread may be without a sign of life.
SILENCE_SECONDS = 60.0
# Below the start period of ECS, 300 s at most, in which a failed check does not count:
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
START_SECONDS = 270.0


class Facts(NamedTuple):
    """What is known.

    Args:
        starting: seconds since the task began, until it has once held the whole table; None since.
        waiting: why no slot is held; None while one is.
        snapshot_complete: every item of the table was read once.
        push_works: a watermark that was written since the snapshot began has come through the queue.
        push_late: every forwarder's newest watermark is late, or there is no forwarder.
        polling: the table is read each second instead.
        troubles: of leasing, of receiving, of applying.
        reading: the trouble of reading the table.
        silent: seconds since each thread's last sign of life.
        long_poll_seconds: how long a receive may take.
        poison: messages that were refused on their last receive.
    """

    starting: float | None
    waiting: str | None
    snapshot_complete: bool
    push_works: bool
    push_late: bool
    polling: bool
    troubles: Sequence[Trouble]
    reading: Trouble | None
    silent: Mapping[str, float]
    long_poll_seconds: int
    poison: int


class Reason(NamedTuple):
    """`code` is for machines, and fixed; `text` is for people."""

    code: str
    text: str


class Health(NamedTuple):
    """Why the task should be replaced, and why it is not ready. No reason: it is healthy, it is ready."""

    unhealthy: list[Reason]
    unready: list[Reason]


def judge(facts: Facts) -> Health:
    """The health that the facts amount to."""
    troubles = list(facts.troubles)
    # Else it is only a rescan that fails, and push keeps the replica up to date.
    if facts.reading and (facts.push_late or not facts.snapshot_complete):
        troubles.append(facts.reading)
    silent = [
        Reason(f"{thread}-stopped", f"no sign of life for {seconds:.0f} s")
        for thread, seconds in facts.silent.items()
        if seconds > facts.long_poll_seconds + SILENCE_SECONDS
    ]
    lasting = [
        _told(trouble)
        for trouble in troubles
        if trouble.curable and trouble.seconds > _patience(trouble, holds_state=facts.starting is None)
    ]
    unready = [*map(_told, troubles), *silent]
    if facts.waiting is not None:
        unready.append(Reason("no-slot", facts.waiting))
    elif not facts.snapshot_complete:
        unready.append(Reason("snapshot-incomplete", "the table has not been read to its end"))
    elif not (facts.push_works or facts.polling):
        unready.append(Reason("no-watermark", "none that was written since the snapshot began has come"))
    if facts.poison:
        unready.append(Reason("poison", f"{facts.poison} on the last receive"))
    starting: list[Reason] = []
    if facts.starting is not None and facts.starting < START_SECONDS:
        starting.append(Reason("starting", "the whole table was not held yet"))
    return Health(lasting + silent + starting, unready)


def _patience(trouble: Trouble, *, holds_state: bool) -> float:
    return UNANSWERED_PATIENCE_SECONDS if holds_state and not trouble.answered else PATIENCE_SECONDS


def _told(trouble: Trouble) -> Reason:
    whose = "" if trouble.curable else ", by the service"
    return Reason(trouble.code, f"for {trouble.seconds:.0f} s{whose}: {trouble.reason}")
