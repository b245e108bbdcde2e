"""From a resource's properties to a call's parameters, and from its answer back, by botocore's models.

A member of a call and a property match when their names do: whatever the case, with or without the type's
name in front (`QueueName` is a queue's `name`), with or without the `s` of a plural. Where they differ the
tables have an expression.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jmespath
from botocore.model import ListShape, MapShape, Shape, StructureShape

from .plan import Properties
from .sdk import Property, ResourceType

_WORD = re.compile(r"[A-Z][a-z0-9]*")


def parameters(shape: StructureShape, state: Properties, members: Mapping[str, str], own: str) -> Properties:
    """The parameters of a call: `members` are expressions over the state, the rest is matched by name."""
    stated = {
        name: jmespath.search(expression, state)
        for name, expression in members.items()
        if name in shape.members
    }
    return _structure(shape, {**state, **stated}, _prefixes(own), frozenset(stated))


def taken(shape: StructureShape, state: Properties, members: Mapping[str, str], own: str) -> set[str]:
    """The properties that a call with these parameters reads."""
    words = {
        word for name, text in members.items() if name in shape.members for word in re.findall(r"\w+", text)
    }
    matched = {_match(name, state, _prefixes(own)) for name in shape.members if name not in members}
    return {name for name in matched if name is not None} | words


def outputs(kind: ResourceType, thing: Mapping[str, Any]) -> Properties:
    """The properties that an answer knows."""
    found: Properties = {}
    told = {_squash(name): value for name, value in thing.items()}
    for each in kind.properties.values():
        keys = _candidates(each.name, _prefixes(kind.name))
        value = next((_fit(each, told[key]) for key in keys if key in told), None)
        if value is not None and each.name not in {"tags", "tagsAll"}:
            found[each.name] = value
    return found


def _squash(name: str) -> str:
    return name.replace("_", "").lower()


def _prefixes(own: str) -> list[str]:
    """What may stand before a member's name: `metricalarm`, `alarm` and `resource` for `MetricAlarm`."""
    words = _WORD.findall(own)
    return ["".join(words[start:]).lower() for start in range(len(words))] + ["resource"]


def _candidates(name: str, prefixes: list[str]) -> list[str]:
    return [_squash(name), *(prefix + _squash(name) for prefix in prefixes)]


def _match(member: str, state: Mapping[str, Any], prefixes: list[str]) -> str | None:
    """The property that gives a member its value."""
    key = _squash(member)
    for wanted in (key, key.removesuffix("s"), f"{key}s"):
        for name in state:
            if wanted == _squash(name):
                return name
        for name in state:
            if wanted in _candidates(name, prefixes):
                return name
    return None


def _structure(
    shape: StructureShape, value: Properties, prefixes: list[str], stated: frozenset[str] = frozenset()
) -> Properties:
    result: Properties = {}
    for member, inner in shape.members.items():
        name = member if member in stated else _match(member, value, prefixes)
        converted = None if name is None else _convert(inner, value[name], name)
        if converted is not None:
            result[member] = converted
    return result


def _convert(shape: Shape, value: Any, name: str) -> Any:  # noqa: PLR0911  one case per kind of shape
    if isinstance(value, str) and isinstance(shape, StructureShape | ListShape) and value[:1] in {"{", "["}:
        value = json.loads(value)
    match shape, value:
        case _, None:
            return None
        case StructureShape(), dict():
            return _structure(shape, value, [_squash(name)])
        case StructureShape(), _ if len(shape.members) == 1:
            return {member: _convert(inner, value, name) for member, inner in shape.members.items()}
        case ListShape(), dict() if pair := _pair(shape.member):
            # Tags, dimensions: a map in a program, a list of pairs in most calls.
            return [dict(zip(pair, each, strict=True)) for each in value.items()]
        case ListShape(), list():
            return [_convert(shape.member, each, name) for each in value if each is not None]
        case ListShape(), _:
            return [_convert(shape.member, value, name)]
        case MapShape(), dict():
            return {key: _convert(shape.value, each, key) for key, each in value.items() if each is not None}
        case _:
            return _scalar(shape.type_name, value)


def _pair(shape: Shape) -> tuple[str, ...]:
    """The two members of a structure that is a key or name with its value."""
    names = tuple(shape.members) if isinstance(shape, StructureShape) else ()
    if len(names) == 2 and names[0].lower().endswith(("key", "name")) and names[1].lower().endswith("value"):
        return names
    return ()


def _scalar(type_name: str, value: Any) -> Any:
    match type_name, value:
        case "string", bool():
            value = str(value).lower()
        case "string", dict() | list():
            value = json.dumps(value)
        case "string", _:
            value = str(value)
        case "long", str() if "T" in value:
            # A time, of which the call takes the Unix seconds.
            value = int(datetime.fromisoformat(value).timestamp())
        case "integer" | "long", str():
            value = int(value)
        case "boolean", str():
            value = value == "true"
        case "blob", str():
            value = value.encode()
        case _:
            pass
    return value


def _fit(wanted: Property, value: Any) -> Any:
    """A value of an answer as the SDK declares the property; none when it cannot be."""
    fitted: Any = None
    match wanted.form, value:
        case ("flag", bool()) | ("map", dict()):
            fitted = value
        case "flag", str():
            fitted = value == "true"
        case "number", int() | float() | str():
            fitted = float(value)
        case "text", dict() | list():
            fitted = json.dumps(value)
        case ("text", _) | ("list", list()) | ("block", dict()):
            fitted = _plain(value)
        case _:
            pass
    return fitted


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {_camel(key): _plain(each) for key, each in value.items() if each is not None}
        case list():
            return [_plain(each) for each in value]
        case datetime():
            return value.isoformat()
        case _:
            return value


def _camel(name: str) -> str:
    return re.sub(r"^[A-Z]+(?![a-z])|^[A-Z]", lambda found: found[0].lower(), name)
