"""What the engine asks before anything is made: the inputs checked, their differences, the outputs to expect.

Nothing here calls anything: every function takes plain values (whole numbers are `int`) and returns them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.runtime import rpc

from .archive import SIGNATURE
from .kinds import Kind
from .sdk import ResourceType

Properties = dict[str, Any]

# What stands on the wire for a value that only a real deployment will know.
UNKNOWN = rpc.UNKNOWN


def checked(
    type_: ResourceType,
    kind: Kind,
    resource_name: str,
    news: Properties,
    *,
    olds: Properties,
    seed: bytes,
    default_tags: Mapping[str, str],
) -> Properties:
    """The inputs with a name (`resource_name-1a2b3c4`, kept over updates) and the provider's default tags.

    A `namePrefix` stands for `resource_name-`.
    """
    inputs = dict(news)
    name = type_.properties.get(kind.name)
    prefix = _prefix(resource_name, inputs)
    if name and name.is_input and name.form == "text" and kind.name not in inputs and prefix != UNKNOWN:
        fifo = ".fifo" if inputs.get("fifoQueue") or inputs.get("fifoTopic") else ""
        old = olds.get(kind.name)
        generated = f"{prefix}{hashlib.sha256(seed).hexdigest()[:7]}{fifo}"
        inputs[kind.name] = old if _is_generated(old, prefix) else generated
    tags = type_.properties.get("tags")
    if default_tags and tags and tags.form == "map" and inputs.get("tags") != UNKNOWN:
        inputs["tags"] = {**default_tags, **inputs.get("tags", {})}
    return inputs


def _prefix(resource_name: str, inputs: Properties) -> str:
    return inputs.get("namePrefix", f"{resource_name}-")


def _is_generated(name: object, prefix: str) -> bool:
    """Whether this is a name that `checked` gave."""
    return isinstance(name, str) and bool(re.fullmatch(rf"{re.escape(prefix)}[0-9a-f]{{7}}(\.fifo)?", name))


def planned(type_: ResourceType, inputs: Properties, known: Properties) -> Properties:
    """The outputs of a preview: the inputs, what is `known`, and every other computed property unknown."""
    computed = {each.name: UNKNOWN for each in type_.properties.values() if each.computed}
    return computed | known | tagged(type_, inputs) | inputs


def tagged(type_: ResourceType, inputs: Properties) -> Properties:
    """The `tagsAll` of these inputs, for types that have it."""
    return {"tagsAll": inputs.get("tags", {})} if "tagsAll" in type_.properties else {}


@dataclass(frozen=True)
class Difference:
    """Which inputs were added, deleted or changed, and which of those need a new resource."""

    added: frozenset[str]
    deleted: frozenset[str]
    changed: frozenset[str]
    replaces: frozenset[str]
    delete_first: bool

    @property
    def all(self) -> frozenset[str]:
        """Every input that differs."""
        return self.added | self.deleted | self.changed


def difference(kind: Kind, resource_name: str, olds: Properties, news: Properties) -> Difference:
    """Compare inputs: what the kind cannot change in place replaces, and so does what it cannot take away.

    The old resource is deleted first where a name that the program gave would clash.
    """
    added, deleted = frozenset(news.keys() - olds.keys()), frozenset(olds.keys() - news.keys())
    changed = frozenset(key for key in olds.keys() & news.keys() if not same(olds[key], news[key]))
    name = news.get(kind.name)
    return Difference(
        added=added,
        deleted=deleted,
        changed=changed,
        replaces=((added | changed) - kind.in_place) | (deleted - kind.resettable),
        delete_first=name is not None
        and name == olds.get(kind.name)
        and not _is_generated(name, _prefix(resource_name, news)),
    )


def same(old: object, new: object) -> bool:
    """Equal as values: JSON documents by content, archives by hash (the state keeps no path)."""
    match old, new:
        case str(), str():
            return old == new or _document(old) == _document(new) is not None
        case {"hash": old_hash, **rest}, {"hash": new_hash} if SIGNATURE in rest:
            return old_hash == new_hash
        case _:
            return old == new


def _document(text: str) -> object | None:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
