import threading
from collections.abc import Iterator

import pytest

from local.emulator import Account, Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator that nobody supervises."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), "eu-south-1")
    emulator.start()
    try:
        assert emulator.wait(threading.Event())
        yield emulator
    finally:
        emulator.stop()


@pytest.fixture
def account(emulator: Emulator) -> Account:
    """The account of an emulator that nobody supervises."""
    return emulator.account
