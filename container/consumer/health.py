"""Health: a pure judgement of what the task knows about itself.

Unhealthy means 'replace me', so only what a replacement can cure counts; being throttled is never unhealthy.
"""

from collections.abc import Sequence
from typing import NamedTuple

from consumer.failures import Trouble

# A call that fails for longer than this, retries included, will not recover by itself.
PATIENCE_SECONDS = 30.0
# How much longer than its long poll the inbox may be without a sign of life.
SILENCE_SECONDS = 60.0


class Facts(NamedTuple):
    """What is known. `waiting` says why no slot is held, and is None while one is."""

    waiting: str | None
    snapshot_complete: bool
    troubles: Sequence[Trouble]
    silent_seconds: float
    long_poll_seconds: int
    poison: int


class Health(NamedTuple):
    """Why the task should be replaced, and why it is not ready. No reason: it is healthy, it is ready."""

    unhealthy: list[str]
    unready: list[str]


def judge(facts: Facts) -> Health:
    """Each reason is a fixed phrase, then, after a colon, what there is to add."""
    unhealthy = [
        _told(trouble)
        for trouble in facts.troubles
        if trouble.seconds > PATIENCE_SECONDS and not trouble.throttled
    ]
    if facts.waiting is None and facts.silent_seconds > facts.long_poll_seconds + SILENCE_SECONDS:
        unhealthy.append(f"inbox stopped: no sign of life for {facts.silent_seconds:.0f} s")
    unready = [_told(trouble) for trouble in facts.troubles]
    unready += [reason for reason in unhealthy if reason not in unready]
    if facts.waiting is not None:
        unready.append(facts.waiting)
    elif not facts.snapshot_complete:
        unready.append("snapshot incomplete")
    if facts.poison:
        unready.append(f"poison: {facts.poison} on the last receive")
    return Health(unhealthy, unready)


def _told(trouble: Trouble) -> str:
    throttled = ", throttled" if trouble.throttled else ""
    return f"cannot {trouble.what}: for {trouble.seconds:.0f} s{throttled}: {trouble.reason}"
