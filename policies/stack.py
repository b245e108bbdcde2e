"""Resources as a rule sees them: what is known of them, and what depends on what.

A rule on one resource sees its inputs, and a rule on a stack all outputs. Before a first deployment most of
them are unknown. Of a property that is made from such values, only the resources that it is made from are
known, and only to a rule on a stack. So **a property counts as set if it is known, or if it is unknown and
made from a resource of a type that belongs there**. An output that is unknown and made from nothing is not
set: the AWS provider says so of every optional property that AWS itself may fill in.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from pulumi_policy import PolicyResource, ResourceValidationArgs, proxy

from .kinds import COMPOSITE_ALARM, KEY

Resource = PolicyResource | ResourceValidationArgs

Path = tuple[str | int, ...]
"""Where a value stands in a resource's properties. A step into a string reads it as a JSON document."""

NAMES: Final = {COMPOSITE_ALARM: "alarmName", KEY: "keyId"}
"""The property that holds a resource's name, where that is not `name`."""

_UNKNOWN: Final = object()
# A remediation is given these where every other rule is given an exception.
_SENTINELS: Final = {value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_")}


class UndecidedError(Exception):
    """What a rule needs to know of a resource is not known yet, or nowhere in the stack: the message says."""


def known(resource: Resource, *path: str | int) -> Any:
    """The value at a path; None where it is not set or not known yet."""
    value = _look(resource, path)
    return None if value is _UNKNOWN else value


def value(resource: Resource, *path: str | int) -> Any:
    """The value at a path; None where it is not set. Raises UndecidedError where it is not known yet."""
    found = _look(resource, path)
    if found is not _UNKNOWN:
        return found
    if is_set(resource, path):
        raise UndecidedError(f"{path[0]} is not known before it is made")
    return None


def is_set(resource: Resource, path: Path, *types: str) -> bool:
    """Whether there is a value at a path: a known one, or one made from a resource (of one of the types)."""
    found = _look(resource, path)
    if found is not _UNKNOWN:
        return bool(found)
    return isinstance(resource, ResourceValidationArgs) or bool(_made_from(resource, path, types))


def stack_name(resource: Resource) -> str:
    """The name of the stack that a resource is in."""
    return resource.urn.split(":")[2]


class Stack:
    """The resources of one stack, indexed so that a rule's work grows with their number and no faster."""

    def __init__(self, resources: Iterable[PolicyResource]) -> None:
        self._by_type: dict[str, list[PolicyResource]] = defaultdict(list)
        for resource in resources:
            self._by_type[resource.resource_type].append(resource)
        self._by_name: dict[str, dict[str, list[PolicyResource]]] = {}

    def of_type(self, *resource_types: str) -> list[PolicyResource]:
        """Every resource of these types."""
        return [resource for each in resource_types for resource in self._by_type.get(each, ())]

    def named(self, name: str, resource_type: str) -> list[PolicyResource]:
        """The resources of a type that have a name; it must be known."""
        if resource_type not in self._by_name:
            names: dict[str, list[PolicyResource]] = defaultdict(list)
            for resource in self.of_type(resource_type):
                if isinstance(own := known(resource, NAMES.get(resource_type, "name")), str):
                    names[own].append(resource)
            self._by_name[resource_type] = names
        return self._by_name[resource_type].get(name, [])

    def referred(self, resource: PolicyResource, path: Path, resource_type: str) -> list[PolicyResource]:
        """The stack's resources of a type that the name, ARN or URL at a path stands for.

        Several, perhaps, while the value is unknown; none where it stands for something outside the stack.
        """
        found = _look(resource, path)
        if found is _UNKNOWN:
            return _made_from(resource, path, (resource_type,))
        return self.named(_name(found), resource_type) if isinstance(found, str) else []


def _look(resource: Resource, path: Path) -> Any:
    found: Any = resource.props
    for step in path:
        try:
            found = (json.loads(found) if isinstance(found, str) else found)[step]
        except proxy.UnknownValueError:
            return _UNKNOWN
        except (LookupError, TypeError, ValueError):
            return None  # no such property, or no such document
        if isinstance(found, str) and found in _SENTINELS:
            return _UNKNOWN
    return found


def _made_from(resource: PolicyResource, path: Path, types: tuple[str, ...]) -> list[PolicyResource]:
    """Dependencies are known for a whole property only, not for what is nested in it."""
    return [
        source
        for source in resource.property_dependencies.get(str(path[0]), [])
        if not types or source.resource_type in types
    ]


def _name(reference: str) -> str:
    """The name in a name, a URL or an ARN; of a function's alias its function's, of a stream its table's."""
    found = re.search(r"\bfunction:([^:]+)|\btable/([^/]+)|([^:/]+)$", reference)
    return next(filter(None, found.groups())) if found else reference
