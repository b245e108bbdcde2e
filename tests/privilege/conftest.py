from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.privilege.deployment import Deployment, deployed

EMAIL = "oncall-7f3a9c@example.com"


@pytest.fixture(scope="session")
def deployment(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One for all. The refusals come last by their name: what they try on those who may ruins it."""
    with deployed(pulumi, tmp_path_factory.mktemp("privilege"), f"alarmEmail={EMAIL}") as deployment:
        yield deployment
