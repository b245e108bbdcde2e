import json
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.json_text import json_text
from tests.program.conftest import evaluate


def resolved(value: Callable[[], object]) -> tuple[str, bool, bool]:
    """The text, and whether it is known and a secret."""
    found: list[Any] = []

    async def wait(of: pulumi.Output[str]) -> None:
        found.extend([await of.future(), await of.is_known(), await of.is_secret()])

    def program() -> None:
        pulumi.Output.from_input(wait(json_text(value())))

    evaluate(program)
    return tuple(found)


def test_outputs_stand_where_they_stood_whatever_they_are() -> None:
    def output(value: object) -> pulumi.Output[Any]:
        return pulumi.Output.from_input(value)

    def value() -> object:
        return {"a": [output("x"), {"b": output({"c": 1}), "d": None}, 2], "e": output([3, "y"]), "f": "z"}

    same = {"a": ["x", {"b": {"c": 1}, "d": None}, 2], "e": [3, "y"], "f": "z"}
    assert resolved(value) == (json.dumps(same), True, False)
    assert resolved(lambda: {"g": []}) == ('{"g": []}', True, False)


def test_a_secret_in_it_makes_it_a_secret() -> None:
    assert resolved(lambda: ["a", pulumi.Output.secret("b")]) == ('["a", "b"]', True, True)


def test_what_is_not_known_yet_leaves_it_unknown() -> None:
    async def value(of: Any) -> Any:
        return of

    def unknown() -> pulumi.Output[Any]:
        return pulumi.Output(set(), value(None), value(False), value(False))

    assert resolved(lambda: {"a": unknown()})[1] is False


def test_what_json_cannot_say_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="neither JSON nor an output"):
        json_text({"a": {1, 2}})
