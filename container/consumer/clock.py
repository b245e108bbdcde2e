"""The task's two clocks."""

import time

# It passes while the host is suspended too, so a task that slept past its lease knows; only Linux has it.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds that never go back."""
    return time.clock_gettime(_STEADY)


def now_ms() -> int:
    """The time of day, Unix milliseconds: what the clocks of others are compared with."""
    return time.time_ns() // 1_000_000
