"""`make rows` on a stub of the interpreter: which results become rows, and how it exits."""

import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
STUB = """#!/bin/sh
echo "$*" >> asked
case "$*" in "-m local "*|"-m bench rows "*) exit 0 ;; esac
number=$(grep -c 'bench' asked)
[ "$number" = {broken} ] && exit 1
mkdir -p results/$number
ln -sfn $number results/latest
[ "$number" != {lossy} ]
"""


@pytest.mark.parametrize(
    ("lossy", "broken", "rows", "status"),
    [
        (0, 0, "1 2 3 4 5", 0),
        (2, 0, "1 2 3 4 5", 2),  # make's own status, of a recipe that failed
        (0, 1, "2 3 4 5", 2),
        (0, 3, "1 2 4 5", 2),
        (5, 0, "1 2 3 4 5", 2),
    ],
)
def test_a_run_that_fails_keeps_its_row_and_costs_no_other_its_own(
    tmp_path: Path, lossy: int, broken: int, rows: str, status: int
) -> None:
    stub = tmp_path / "python"
    stub.write_text(STUB.format(lossy=lossy, broken=broken))
    stub.chmod(0o755)
    done = subprocess.run(
        ["make", "--file", MAKEFILE, "--assume-old=setup", "rows", f"PYTHON={stub}"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    asked = (tmp_path / "asked").read_text().splitlines()
    (of,) = (line for line in asked if line.startswith("-m bench rows"))
    assert of == "-m bench rows " + " ".join(f"results/{number}" for number in rows.split())
    assert done.returncode == status, done.stdout
    assert asked[-1] == "-m local down --stack handoff"
