"""JSON in which outputs stand."""

import json
from collections.abc import Sequence
from typing import Any, cast

import pulumi


def json_text(value: object) -> pulumi.Output[str]:
    """A value as JSON once the outputs in it are known.

    `pulumi.Output.json_dumps` does the same by an output for each object and list on the way: by that a large
    stack takes a quarter longer to evaluate.

    Raises:
        TypeError: something in it is neither JSON nor an output.
    """
    outputs: list[pulumi.Output[Any]] = []

    def note(one: object) -> None:
        if not isinstance(one, pulumi.Output):
            raise TypeError(f"{one!r} is neither JSON nor an output")
        outputs.append(cast("pulumi.Output[Any]", one))

    def text(known: Sequence[Any]) -> str:
        values = iter(known)
        return json.dumps(value, default=lambda _: next(values))

    json.dumps(value, default=note)
    return pulumi.Output.all(*outputs).apply(text)
