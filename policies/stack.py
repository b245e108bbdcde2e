"""A stack's resources as a rule sees them at preview: what is known, and what depends on what.

Before a first deployment most of what a resource will say of itself is unknown. Of a property that is made
from such values, only the resources that it is made from are known. So **a property counts as set if it is
known, or if it is unknown and made from a resource of a type that belongs there**. Unknown and made from
nothing is not set: the AWS provider says so of every optional property that AWS itself may fill in.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from pulumi_policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

Path = tuple[str | int, ...]
"""Where a value stands in a resource's properties. A step into a string reads it as a JSON document."""

_UNKNOWN: Final = object()


def known(resource: PolicyResource, *path: str | int) -> Any:
    """The value at a path; None where it is not set or not known yet."""
    value = _look(resource, path)
    return None if value is _UNKNOWN else value


def is_set(resource: PolicyResource, path: Path, *types: str) -> bool:
    """Whether there is a value at a path: a known one, or one made from a resource of one of the types."""
    value = _look(resource, path)
    return bool(_made_from(resource, path, types)) if value is _UNKNOWN else bool(value)


class Stack:
    """The resources of one stack, indexed so that a rule's work grows with their number and no faster."""

    def __init__(self, resources: Iterable[PolicyResource]) -> None:
        self._by_type: dict[str, list[PolicyResource]] = defaultdict(list)
        for resource in resources:
            self._by_type[resource.resource_type].append(resource)
        self._by_name: dict[str, dict[str, list[PolicyResource]]] = {}

    def of_type(self, resource_type: str) -> list[PolicyResource]:
        """Every resource of a type."""
        return self._by_type.get(resource_type, [])

    def referred(self, resource: PolicyResource, path: Path, resource_type: str) -> list[PolicyResource]:
        """The stack's resources of a type that the name, ARN or URL at a path stands for.

        Several, perhaps, while the value is unknown; none where it stands for something outside the stack.
        """
        value = _look(resource, path)
        if value is _UNKNOWN:
            return _made_from(resource, path, (resource_type,))
        return self._named(resource_type).get(_name(value), []) if isinstance(value, str) else []

    def _named(self, resource_type: str) -> dict[str, list[PolicyResource]]:
        if resource_type not in self._by_name:
            names: dict[str, list[PolicyResource]] = defaultdict(list)
            for resource in self.of_type(resource_type):
                if isinstance(name := known(resource, "name"), str):
                    names[name].append(resource)
            self._by_name[resource_type] = names
        return self._by_name[resource_type]


def _look(resource: PolicyResource, path: Path) -> Any:
    value: Any = resource.props
    for step in path:
        try:
            value = (json.loads(value) if isinstance(value, str) else value)[step]
        except UnknownValueError:
            return _UNKNOWN
        except (LookupError, TypeError, ValueError):
            return None  # no such property, or no such document
    return value


def _made_from(resource: PolicyResource, path: Path, types: tuple[str, ...]) -> list[PolicyResource]:
    """Dependencies are known for a whole property only, not for what is nested in it."""
    return [
        source
        for source in resource.property_dependencies.get(str(path[0]), [])
        if source.resource_type in types
    ]


def _name(reference: str) -> str:
    """The name in a name, an ARN or a URL."""
    return re.split("[:/]", reference)[-1]
