"""A case: a few resources in a stack of many, and those of them that a rule must name or cannot decide about.

Each resource's name begins with the `at` that the case is given, so that no two cases share one.
"""

from collections.abc import Callable
from dataclasses import dataclass

Build = Callable[[str], object]


@dataclass(frozen=True)
class Case:
    rule: str
    outcome: str
    build: Build
    named: frozenset[str]

    @property
    def at(self) -> str:
        return f"{self.rule}_{self.build.__name__.replace('_', '-')}_"


class Cases(list[Case]):
    """The cases of one rule."""

    def __init__(self, rule: str) -> None:
        super().__init__()
        self._rule = rule

    def fails(self, *violating: str) -> Callable[[Build], Build]:
        return self._add("fails", *violating)

    def passes(self, build: Build) -> Build:
        return self._add("passes")(build)

    def undecided(self, *undecided: str) -> Callable[[Build], Build]:
        return self._add("undecided", *undecided)

    def not_applicable(self, build: Build) -> Build:
        return self._add("not applicable")(build)

    def _add(self, outcome: str, *named: str) -> Callable[[Build], Build]:
        def add(build: Build) -> Build:
            self.append(Case(self._rule, outcome, build, frozenset(named)))
            return build

        return add
