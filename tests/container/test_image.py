"""What goes into the image, as far as it can be told without building one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "container"


def pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


def test_the_requirements_are_those_of_the_lock_file() -> None:
    uv = shutil.which("uv") or shutil.which(str(ROOT / ".tools" / "bin" / "uv"))
    if not uv:
        pytest.skip("uv is not here: make setup")
    command = [uv, "export", "--frozen", "--only-group", "container", "--no-emit-project"]
    exported = subprocess.run(
        [*command, "--format", "requirements-txt"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert pins((CONTAINER / "requirements.txt").read_text()) == pins(exported), "run make lock"


def test_the_image_is_pinned_hashed_and_not_run_by_root() -> None:
    dockerfile = (CONTAINER / "Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.13-slim@sha256:[0-9a-f]{64}$", dockerfile, re.MULTILINE)
    assert "--require-hashes" in dockerfile
    # The base image's standard library has no bytecode, and at run time none can be written.
    assert re.search(r"^RUN python -m compileall -q consumer .*stdlib", dockerfile, re.MULTILINE)
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)


def test_the_consumer_loads_only_what_the_image_holds() -> None:
    program = "import sys, consumer.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=CONTAINER, capture_output=True, text=True, check=True
    )
    assert not {"pydantic", "pulumi", "rich", "typer", "ministack"} & set(loaded.stdout.split())
