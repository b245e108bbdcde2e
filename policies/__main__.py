"""What `pulumi preview --policy-pack policies` starts: it serves the rules until the engine is done."""

import sys
from pathlib import Path

from pulumi_policy import EnforcementLevel, PolicyPack

# The engine runs this folder as a script: the package that it is has to be importable, by its name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from policies.rule import policies  # noqa: E402
from policies.rules import RULES  # noqa: E402

PolicyPack("statecast", policies(RULES), enforcement_level=EnforcementLevel.MANDATORY)
