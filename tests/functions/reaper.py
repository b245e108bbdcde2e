"""The reaper's modules, loaded as Lambda has them: side by side, with the slots' queues in a file."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[2] / "functions" / "reaper"
sys.path.append(str(SOURCE))

import decision  # noqa: E402
import letters  # noqa: E402

__all__ = ["decision", "letters", "load"]


def load(folder: Path, queues: Sequence[str]) -> ModuleType:
    """The handler, with its environment."""
    for module in SOURCE.glob("*.py"):
        shutil.copy(module, folder)
    (folder / "queues.json").write_text(json.dumps(queues))
    specification = importlib.util.spec_from_file_location("reaper_handler", folder / "handler.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "TABLE": "state",
            "LEASES_TABLE": "leases",
            "CLUSTER": "cluster",
            "ARCHIVE": "archive",
            "AWS_DEFAULT_REGION": "eu-south-1",
        }.items():
            patch.setenv(name, value)
        specification.loader.exec_module(module)
    return module
