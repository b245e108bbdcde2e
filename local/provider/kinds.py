"""How resource types are made: what an entry of `tables/*.yaml` may say. Adding a type is adding an entry.

An expression is JMESPath over the resource's properties, `id`, `label`, `region` and `account`. A template is
a format string over the same and over the answer of the call.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator


class Call(BaseModel):
    """One call of the service, by boto3's name, made if the expression `when` holds. A bare name will do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    call: str
    when: str = "`true`"
    members: dict[str, str] = {}
    """As in `Kind`, for this call alone."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"call": value} if isinstance(value, str) else value


class Step(Call):
    """A call that sets these properties; `*` stands for any."""

    changes: list[str]


class Lookup(Call):
    """A call that tells properties, as expressions over its answer."""

    outputs: dict[str, str]


class Kind(BaseModel):
    """How one resource type is made. Without `create` it lives in the stack's state alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = ""
    create: Call | None = None
    read: Call | None = None
    delete: list[Call] = []
    id: str = "{name}"
    """Template of the id."""
    arn: str = ""
    """Template of the ARN, where no answer gives it."""
    label: str = ""
    """What ARNs and tags of EC2 call the type."""
    name: str = "name"
    """The property that is made from the resource's name when the program leaves it out."""
    thing: str = "@"
    """Expression over the answers of `create` and `read`: the thing, or a list that holds it."""
    pick: str = "{id}"
    """Template of a value by which it is told in that list."""
    ready: str = ""
    """Expression over the thing: it can be used. Without one it can be at once."""
    members: dict[str, str] = {}
    """Expressions of those members of calls that are not named like their property."""
    outputs: dict[str, str] = {}
    """Expressions, over the answer too, of those properties that are not named like there."""
    lookups: list[Lookup] = []
    settings: list[Step] = []
    """Calls of their own after `create`, and when what they set changes."""
    updates: list[Step] = []
    """Calls that change properties in place. Any other property replaces the resource."""
    fixed: frozenset[str] = frozenset()
    """Properties that `settings` sets at creation only."""
    tag: Call | None = Call(call="tag_resource")
    untag: Call | None = Call(call="untag_resource")
    """The calls that change tags: the first gets those that stay, the second those that go."""
    emptied: bool = False
    """Whether `forceDestroy` empties it first."""
    moving: frozenset[str] = frozenset()
    """Outputs that an update changes."""
    refused: dict[str, str] = {}
    """Inputs that the emulator takes and does wrong by, each with the reason and what to do instead."""
    local: frozenset[str] = frozenset()
    """Inputs that no call takes: they steer a provider, or the emulator has no use for them."""

    @property
    def in_place(self) -> frozenset[str]:
        """The inputs that an update can change."""
        stepped = {name for step in (*self.settings, *self.updates) for name in step.changes}
        return (self.local | stepped | ({"tags"} if self.tag else set())) - self.fixed

    @property
    def resettable(self) -> frozenset[str]:
        """The inputs that an update can take away: a call that puts the whole thing leaves none behind."""
        whole = {name for step in self.updates if step.call.startswith("put_") for name in step.changes}
        return self.local | whole | ({"tags"} if self.tag else set())


@cache
def kinds() -> dict[str, Kind]:
    """The tables, by the token of the type."""
    entries: dict[str, object] = {}
    for path in sorted(Path(__file__).with_name("tables").glob("*.yaml")):
        entries |= yaml.safe_load(path.read_text())
    return TypeAdapter(dict[str, Kind]).validate_python(
        {token: entry for token, entry in entries.items() if not token.startswith(".")}
    )
