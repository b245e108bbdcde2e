import threading
from collections.abc import Iterator

import pytest

from local.emulator import Account, Emulator


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An emulator that nobody supervises."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), "eu-south-1")
    emulator.start()
    try:
        assert emulator.wait(threading.Event())
        yield emulator.account
    finally:
        emulator.stop()
