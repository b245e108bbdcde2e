"""What `pulumi preview --policy-pack policies` starts: it serves the rules until the engine is done."""

import gc
import sys
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyPack

# The engine runs this folder as a script: the package that it is has to be importable, by its name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from policies.rule import policies  # noqa: E402
from policies.rules import RULES  # noqa: E402

# A stack's resources are read anew for each rule and all stay until it has judged: by its defaults Python's
# collector goes through them so often that five times as many take eight times as long.
gc.set_threshold(50_000, 20, 100)

PolicyPack("statecast", policies(RULES), enforcement_level=EnforcementLevel.MANDATORY)
