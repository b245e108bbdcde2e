from collections.abc import Iterator

import pytest

from local.emulator import Account, Emulator
from tests.emulation import running_emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator that nobody supervises."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator) -> Account:
    """The account of an emulator that nobody supervises."""
    return emulator.account
