"""The real consumer, with a replica that breaks a rule: `python broken_consumer.py forgetful | unburied`."""

import sys

from consumer import __main__ as program
from consumer import task
from consumer.digest import SYSTEM_PREFIX
from consumer.message import Change
from consumer.replica import Outcome, Replica


class Forgetful(Replica):
    """Takes one change in five for known."""

    def apply(self, change: Change) -> Outcome:
        if change.version % 5 == 0 and not change.id.startswith(SYSTEM_PREFIX):
            return "duplicate"
        return super().apply(change)


class Unburied(Replica):
    """Keeps no tombstones."""

    def apply(self, change: Change) -> Outcome:
        outcome = super().apply(change)
        self._buried.clear()
        return outcome


if __name__ == "__main__":
    task.Replica = {"forgetful": Forgetful, "unburied": Unburied}[sys.argv[1]]
    sys.exit(program.main())
