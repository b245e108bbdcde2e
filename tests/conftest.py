import gc
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from xdist.scheduler import LoadScopeScheduling

from local import LocalError, engine
from tests.engine import CHECKOUT, Project


def pytest_configure() -> None:
    # A full collection walks all of the AWS SDK: two thirds of what it takes to evaluate the program.
    gc.set_threshold(100_000, 10, 100)
    # Before there are workers: they all have the one seed, and what they print is not shown.
    os.environ.setdefault("PROTOCOL_SEED", str(secrets.randbelow(1_000_000_000)))
    os.environ.setdefault("PROTOCOL_HISTORIES", "4000")


class OneWorkerAFile(LoadScopeScheduling):
    """A worker takes all tests of a file, or of a folder whose files share what takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.rpartition("/")[0]
        shares = folder in ("tests/privilege", "tests/program") and "with_the_engine" not in path
        return folder if shares else path


def pytest_xdist_make_scheduler(config: pytest.Config) -> OneWorkerAFile:
    return OneWorkerAFile(config)


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
