"""What tests against a live emulator share."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from local.emulator import Emulator

T = TypeVar("T")


@contextmanager
def running_emulator(folder: Path) -> Iterator[Emulator]:
    """An emulator that nobody supervises, for as long as the block lasts."""
    emulator = Emulator(folder, "eu-south-1")
    emulator.start()
    try:
        assert emulator.wait(threading.Event())
        yield emulator
    finally:
        emulator.stop()


def eventually(look: Callable[[], T], expected: str = "what was looked for", seconds: float = 60) -> T:
    """What `look` finds, once it finds anything true; a limit keeps a failing test from waiting for ever."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {expected}"
        time.sleep(0.05)
    return found
