"""Experiments on a running stack, and their reports."""

import sys
from pathlib import Path

# The digest is defined once, by the container's code, which is no package of this environment.
sys.path.append(str(Path(__file__).resolve().parent.parent / "container"))
