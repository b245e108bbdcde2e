import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.emulator import Account
from tests.emulation import running_emulator
from tests.engine import CHECKOUT

Configure = Callable[[Mapping[str, object]], Path]


@pytest.fixture(scope="session")
def aws() -> Iterator[dict[str, str]]:
    """The environment in which the engine plans AWS resources: our provider, no account, no network."""
    with provider({}) as environment:
        yield environment


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in which the engine makes AWS resources."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator.account


@pytest.fixture(scope="session")
def aws_with_account(account: Account) -> Iterator[dict[str, str]]:
    """The environment in which the engine makes AWS resources."""
    with provider(account.environment()) as environment:
        yield environment


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Write the pack's configuration, as a user gives it, to a file."""

    def write(config: Mapping[str, object]) -> Path:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        return path

    return write


@contextmanager
def provider(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "local.provider"],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        port = process.stdout.readline().strip()
        yield {
            "PULUMI_DEBUG_PROVIDERS": f"aws:{port}",
            "AWS_REGION": "eu-south-1",
            "PYTHONPATH": str(CHECKOUT),
            **environment,
        }
        process.terminate()
