"""Stacks on this machine, for the tests that take minutes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine import CHECKOUT


def call(*command: str, folder: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run a module of the checkout in `folder`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def running(state: Path, *settings: str, stack: str = "local") -> Iterator[None]:
    """The stack with these settings (`key=value`); the folders of all stacks are in `state` meanwhile."""
    configured = (part for setting in settings for part in ("--config", setting))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        try:
            up = call("local", "up", "--stack", stack, *configured)
            assert up.returncode == 0, up.stdout + up.stderr
            yield
        finally:
            call("local", "down", "--stack", stack)
