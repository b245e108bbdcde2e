"""What the engine asks before anything is made: the inputs checked, their differences, the outputs to expect.

Nothing here calls anything: every function takes plain values (whole numbers are `int`) and returns them.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.runtime import rpc

from .archive import SIGNATURE
from .sdk import ResourceType

Properties = dict[str, Any]

# What stands on the wire for a value that only a real deployment will know.
UNKNOWN = rpc.UNKNOWN
_NAME_SUFFIX = re.compile(r"-[0-9a-f]{7}")


def checked(
    kind: ResourceType,
    resource_name: str,
    news: Properties,
    *,
    olds: Properties,
    seed: bytes,
    name_property: str = "name",
    default_tags: Mapping[str, str] | None = None,
) -> Properties:
    """The inputs with a name (`resource_name-1a2b3c4`, kept over updates) and the provider's default tags."""
    inputs = dict(news)
    named = kind.properties.get(name_property)
    if (
        named is not None
        and named.is_input
        and named.form == "text"
        and not inputs.keys() & {named.name, "namePrefix"}
    ):
        old = olds.get(named.name)
        inputs[named.name] = (
            old
            if is_generated(old, resource_name)
            else f"{resource_name}-{hashlib.sha256(seed).hexdigest()[:7]}"
        )
    tags = kind.properties.get("tags")
    if default_tags and tags is not None and tags.form == "map" and inputs.get("tags") != UNKNOWN:
        inputs["tags"] = {**default_tags, **inputs.get("tags", {})}
    return inputs


def is_generated(name: object, resource_name: str) -> bool:
    """Whether this is a name that `checked` gave."""
    return (
        isinstance(name, str)
        and name.startswith(resource_name)
        and _NAME_SUFFIX.fullmatch(name.removeprefix(resource_name)) is not None
    )


def planned(kind: ResourceType, inputs: Properties, known: Properties) -> Properties:
    """The outputs of a preview: the inputs, what is `known`, and every other computed property unknown."""
    computed = {each.name: UNKNOWN for each in kind.properties.values() if each.computed}
    return computed | tagged(kind, inputs) | known | inputs


def tagged(kind: ResourceType, inputs: Properties) -> Properties:
    """The `tagsAll` of these inputs, for types that have it."""
    return {"tagsAll": inputs.get("tags", {})} if "tagsAll" in kind.properties else {}


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


def difference(
    olds: Properties,
    news: Properties,
    *,
    resource_name: str,
    name_property: str,
    in_place: Collection[str],
    resettable: Collection[str],
) -> Difference:
    """Compare inputs. What cannot change `in_place` replaces, and what is taken away unless `resettable`.

    The old resource is deleted first where a given name would clash.
    """
    old, new = _present(olds), _present(news)
    changed = frozenset(key for key in old.keys() & new.keys() if not same(old[key], new[key]))
    added, deleted = frozenset(new.keys() - old.keys()), frozenset(old.keys() - new.keys())
    name = new.get(name_property)
    return Difference(
        added=added,
        deleted=deleted,
        changed=changed,
        replaces=((added | changed) - set(in_place)) | (deleted - set(resettable)),
        delete_first=name is not None
        and name == old.get(name_property)
        and not is_generated(name, resource_name),
    )


def _present(properties: Properties) -> Properties:
    # `__defaults` and its like are the engine's own.
    return {key: value for key, value in properties.items() if value is not None and not key.startswith("__")}


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
