"""How a resource type is made: one entry of the tables."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """How one resource type is made."""

    name: str = "name"
    in_place: Collection[str] = ()


KINDS: dict[str, Kind] = {}
