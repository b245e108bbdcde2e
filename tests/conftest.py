import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from local import LocalError, engine
from tests.engine import CHECKOUT, Project


def pytest_configure() -> None:
    # Before there are workers: they all have the one seed, and what they print is not shown.
    os.environ.setdefault("PROTOCOL_SEED", str(secrets.randbelow(1_000_000_000)))
    os.environ.setdefault("PROTOCOL_HISTORIES", "4000")


def pytest_report_header() -> str:
    told = " ".join(f"{name}={os.environ[name]}" for name in ("PROTOCOL_SEED", "PROTOCOL_HISTORIES"))
    return f"random histories of the protocol: {told}"


@pytest.fixture(scope="session")
def pulumi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine with our own language host. Without one, tests skip and say why; on CI they fail."""
    try:
        found = engine.find(Console(stderr=True))
    except LocalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return engine.Engine(found.pulumi, has_language_host=False).install(
        tmp_path_factory.mktemp("engine"), CHECKOUT
    )


@pytest.fixture
def project(pulumi: Path, tmp_path: Path) -> Callable[..., Project]:
    """Make a project of one program, given as source, with more environment where a test needs it."""
    return lambda program, **environment: Project.make(pulumi, tmp_path, program, environment)
