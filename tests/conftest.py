import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from local import LocalError, engine
from tests.engine import Project

CHECKOUT = Path(__file__).parent.parent


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

    def make(program: str, **environment: str) -> Project:
        folder, state = tmp_path / "program", tmp_path / "state"
        folder.mkdir()
        state.mkdir()
        (folder / "Pulumi.yaml").write_text("name: scratch\nruntime: python\n")
        (folder / "__main__.py").write_text(program)
        made = Project(
            pulumi,
            folder,
            {
                **os.environ,
                "PULUMI_BACKEND_URL": state.as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": "",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                **environment,
            },
        )
        initialised = made.run("stack", "init", "test")
        assert initialised.returncode == 0, initialised.stdout
        return made

    return make
