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


def eventually(what: Callable[[], T], seconds: float = 60) -> T:
    """The first true value of `what`; the limit only keeps a failing test from waiting for ever."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found
