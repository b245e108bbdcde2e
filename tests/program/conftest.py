"""Evaluates components and the whole program with mocks, each time in a clean run of the Pulumi runtime."""

import asyncio
import json
import runpy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime import mocks, rpc, set_all_config
from pulumi.runtime.settings import ROOT, Settings, configure
from pulumi.runtime.stack import run_in_stack

CHECKOUT = Path(__file__).parents[2]
ACCOUNT = "123456789012"
REGION = "eu-south-1"


@dataclass(frozen=True)
class Options:
    """The options with which a resource was registered."""

    depends_on: set[str]
    replace_on_changes: list[str]
    ignore_changes: list[str]
    delete_before_replace: bool


@dataclass(frozen=True)
class Made:
    """A resource as the program registered it."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    options: Options


@dataclass
class Evaluation:
    """What a program registered and exported."""

    resources: list[Made] = field(default_factory=list)
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: tuple[str, str]) -> Made:
        """The one resource of a type and name."""
        (found,) = (made for made in self.resources if (made.type, made.name) == key)
        return found

    def of(self, token: str) -> list[Made]:
        return [made for made in self.resources if made.type == token]

    @property
    def types(self) -> Counter[str]:
        """How many of each type, components aside."""
        return Counter(made.type for made in self.resources if not made.type.startswith("statecast:"))

    @property
    def children(self) -> set[tuple[str, str, str]]:
        """Each resource's parent's name, type and name."""
        return {(made.parent.rpartition("::")[2], made.type, made.name) for made in self.resources}


class Cloud(mocks.Mocks):
    """Answers as AWS would, with names as they are given."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        service = args.typ.split(":")[1].split("/")[0]
        outputs = {
            "name": args.name,
            "arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{args.inputs.get('name', args.name)}",
            **args.inputs,
        }
        match args.typ:
            case "aws:sqs/queue:Queue":
                outputs["url"] = f"https://sqs/{args.name}"
            case "aws:ecs/cluster:Cluster":
                outputs["arn"] = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{args.name}"
            case "aws:s3/bucket:Bucket":
                outputs |= {"bucket": args.name, "arn": f"arn:aws:s3:::{args.name}"}
            case "aws:dynamodb/table:Table":
                outputs |= {"streamArn": f"{outputs['arn']}/stream/1", "streamLabel": "1"}
            case "aws:lambda/function:Function":
                outputs["version"] = "1"
            case "aws:appsync/graphQLApi:GraphQLApi":
                outputs["uris"] = {"GRAPHQL": f"https://{args.name}/graphql"}
            case "aws:ecr/repository:Repository":
                outputs |= {"repositoryUrl": f"registry/{args.name}", "registryId": ACCOUNT}
            case "docker-build:index:Image":
                outputs["digest"] = "sha256:" + "d" * 64
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        return {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:index/getPartition:getPartition": {"partition": "aws"},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "secret"},
        }[args.token]


class Recorder(mocks.MockMonitor):
    """A monitor that keeps what is registered."""

    def __init__(self, evaluation: Evaluation, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._evaluation = evaluation

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object)
            self._evaluation.resources.append(
                Made(
                    request.type,
                    request.name,
                    response.urn,
                    request.parent,
                    inputs,
                    Options(
                        set(request.dependencies),
                        list(request.replaceOnChanges),
                        list(request.ignoreChanges),
                        request.deleteBeforeReplace,
                    ),
                )
            )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if "pulumi:pulumi:Stack" in request.urn.split("::")[2].split("$")[-1]:
            self._evaluation.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)


def evaluate(
    program: Callable[[], object],
    configuration: Mapping[str, Any] | None = None,
    stack: str = "test",
    into: Evaluation | None = None,
    cloud: Cloud | None = None,
) -> Evaluation:
    """Run a program by itself and say what it registered."""
    evaluation = into or Evaluation()
    ROOT.set(None)
    set_all_config({key: _as_engine_gives(value) for key, value in (configuration or {}).items()})
    configure(Settings("statecast", stack, monitor=Recorder(evaluation, cloud or Cloud()), dry_run=False))
    asyncio.new_event_loop().run_until_complete(run_in_stack(lambda: program() and None))
    return evaluation


def _as_engine_gives(value: Any) -> str:
    """Configuration reaches a program as strings: JSON for lists, Go's words for the rest."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return json.dumps(value)
        case _:
            return str(value)


def defaults() -> dict[str, Any]:
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    return {f"statecast:{key}": schema["default"] for key, schema in project["config"].items()}


def stack_configuration(stack: str) -> dict[str, Any]:
    return defaults() | yaml.safe_load((CHECKOUT / f"Pulumi.{stack}.yaml").read_text())["config"]


def run_program() -> None:
    runpy.run_path(str(CHECKOUT / "__main__.py"), run_name="__main__")


@pytest.fixture(scope="session")
def program() -> Callable[[str], Evaluation]:
    """The whole program as a stack's file configures it."""
    evaluated: dict[str, Evaluation] = {}

    def of(stack: str) -> Evaluation:
        if stack not in evaluated:
            evaluated[stack] = evaluate(run_program, stack_configuration(stack), stack)
        return evaluated[stack]

    return of
