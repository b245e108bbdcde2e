"""The real consumer, with a replica that breaks a rule."""

import sys

from consumer import __main__ as program
from consumer import task
from consumer.digest import SYSTEM_PREFIX
from consumer.message import Change
from consumer.replica import Outcome, Replica


class Forgetful(Replica):
    """Takes whatever is written to an item that it holds for known: it stays at its first version."""

    def apply(self, change: Change) -> Outcome:
        if change.item is not None and change.id in self._held and not change.id.startswith(SYSTEM_PREFIX):
            return "duplicate"
        return super().apply(change)


if __name__ == "__main__":
    task.Replica = Forgetful
    sys.exit(program.main())
