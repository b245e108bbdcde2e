"""What a resource type looks like, read from the sources of its Python SDK.

The generated file of one type is parsed, never imported: importing `pulumi_aws` takes seconds.
"""

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_FORMS = {
    "_builtins.str": "text",
    "_builtins.int": "number",
    "_builtins.float": "number",
    "_builtins.bool": "flag",
    "Sequence[": "list",
    "Mapping[": "map",
    "'outputs.": "block",
}


@dataclass(frozen=True)
class Property:
    """One property of a resource: its name on the wire and what the SDK declares about it."""

    name: str
    annotation: str
    is_input: bool

    @property
    def computed(self) -> bool:
        """The cloud fills it in when the program does not: the generator marks the others `Optional`."""
        return not self.annotation.startswith("pulumi.Output[Optional[")

    @property
    def form(self) -> str:
        """What its value is: text, number, flag, list, map or block (an object)."""
        declared = self.annotation.removeprefix("pulumi.Output[").removeprefix("Optional[")
        return next((form for start, form in _FORMS.items() if declared.startswith(start)), "")


@dataclass(frozen=True)
class ResourceType:
    """A resource type: `aws:sqs/queue:Queue` is named `Queue`."""

    token: str
    properties: dict[str, Property]

    @property
    def name(self) -> str:
        """The class's name."""
        return self.token.rsplit(":", 1)[1]


@cache
def resource_type(token: str) -> ResourceType:
    """The type of a token; `LookupError` when the installed SDK has no such type."""
    path = _source(token)
    name = token.rsplit(":", 1)[1]
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return ResourceType(token, {each.name: each for each in _properties(node)})
    raise LookupError(f"{token}: {path.name} of the installed SDK has no class {name}")


def _source(token: str) -> Path:
    package, module, _ = token.split(":")
    spec = find_spec(f"pulumi_{package.replace('-', '_')}")
    if spec is None or spec.origin is None:
        raise LookupError(f"{token}: the Python package pulumi_{package.replace('-', '_')} is not installed")
    root = Path(spec.origin).parent
    folder, _, stem = module.rpartition("/")
    if module == "index":
        stem = token.rsplit(":", 1)[1]
    # A folder that would be a keyword has an underscore: lambda_.
    for parent in (root / folder, root / f"{folder}_"):
        for path in parent.glob("*.py"):
            if path.stem.replace("_", "") == stem.lower():
                return path
    raise LookupError(f"{token}: the installed {root.name} knows no such type; is it a newer one?")


def _properties(definition: ast.ClassDef) -> list[Property]:
    functions = [node for node in definition.body if isinstance(node, ast.FunctionDef)]
    arguments = {
        argument.arg
        for function in functions
        if function.name == "_internal_init"
        for argument in (*function.args.args, *function.args.kwonlyargs)
    }
    return [
        Property(
            _wire_name(decorator, function.name), ast.unparse(function.returns), function.name in arguments
        )
        for function in functions
        for decorator in function.decorator_list
        if function.returns is not None and ast.unparse(decorator).startswith("pulumi.getter")
    ]


def _wire_name(getter: ast.expr, name: str) -> str:
    match getter:
        case ast.Call(keywords=[ast.keyword(arg="name", value=ast.Constant(value=str(wire_name)))]):
            return wire_name
        case _:
            return name
