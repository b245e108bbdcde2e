import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.engine import CHECKOUT


@pytest.fixture(scope="session")
def aws() -> Iterator[dict[str, str]]:
    """The environment in which the engine plans AWS resources: our provider, no account, no network."""
    with subprocess.Popen(
        [sys.executable, "-m", "local.provider"], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as provider:
        assert provider.stdout
        yield {
            "PULUMI_DEBUG_PROVIDERS": f"aws:{provider.stdout.readline().strip()}",
            "AWS_REGION": "eu-south-1",
            "PYTHONPATH": str(CHECKOUT),
        }
        provider.terminate()
