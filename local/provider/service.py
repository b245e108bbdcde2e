# ruff: noqa: ARG002, N802 (the methods and their arguments are gRPC's)
"""The gRPC service that the engine attaches to."""

import functools
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, ParamSpec, TypeVar, cast

import grpc
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc as pb_grpc

from . import plan
from .invokes import INVOKES, NO_IMAGE, REFUSED
from .kinds import Kind, kinds
from .make import CallError, Clients, Maker
from .plan import Properties
from .sdk import resource_type

_Parameters = ParamSpec("_Parameters")
_Response = TypeVar("_Response")


def _answers_errors(method: Callable[_Parameters, _Response]) -> Callable[_Parameters, _Response]:
    """Give the engine the message of what a program or the cloud got wrong."""

    @functools.wraps(method)
    def answer(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Response:
        try:
            return method(*args, **kwargs)
        except (CallError, LookupError, OSError, ValueError) as error:
            _, _, context = cast(tuple[Provider, Message, grpc.ServicerContext], args)
            return context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    return answer


class Provider(pb_grpc.ResourceProviderServicer):
    """Plans by the SDK's sources, makes by the tables.

    One process serves every provider of a stack, so the region configured last counts for all of them; a
    resource's own `region` comes first. Secrets are left to the engine: without `acceptSecrets` it
    unwraps the inputs and marks the outputs of the same name.
    """

    def __init__(self) -> None:
        self._region = os.environ.get("AWS_REGION", "us-east-1")
        self._default_tags: dict[str, str] = {}
        self._clients = Clients()

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Begin an operation: the preview before an `up` has ended with `Cancel`, in this very process."""
        self._clients.cancelled.clear()
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The installed SDK's version: the engine warns of a provider older than that."""
        return plugin_pb2.PluginInfo(version=version("pulumi-aws"))

    def CheckConfig(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        """Take any configuration."""
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: pb.DiffRequest, context: grpc.ServicerContext) -> pb.DiffResponse:
        """Never replace a provider, and its resources with it."""
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    @_answers_errors
    def Configure(self, request: pb.ConfigureRequest, context: grpc.ServicerContext) -> pb.ConfigureResponse:
        """Take the region and the default tags, which arrive as a JSON document."""
        known = {name: value for name, value in _properties(request.args).items() if value != plan.UNKNOWN}
        self._region = known.get("region") or self._region
        if "defaultTags" in known:
            self._default_tags = json.loads(known["defaultTags"]).get("tags", {})
        return pb.ConfigureResponse(supportsPreview=True)

    @_answers_errors
    def Check(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        """Name and tag the inputs."""
        token, resource_name = _identity(request.urn)
        inputs = plan.checked(
            resource_type(token),
            _kind(token),
            resource_name,
            _properties(request.news),
            olds=_properties(request.olds),
            seed=request.randomSeed,
            default_tags=self._default_tags,
        )
        return pb.CheckResponse(inputs=_struct(inputs), failures=_nameless(token, inputs))

    @_answers_errors
    def Diff(self, request: pb.DiffRequest, context: grpc.ServicerContext) -> pb.DiffResponse:
        """Compare the inputs; replacement is the rule, an update in place what the tables allow."""
        token, resource_name = _identity(request.urn)
        olds, news = _properties(request.old_inputs), _properties(request.news)
        found = plan.difference(_kind(token), resource_name, olds, news)
        changes = (("ADD", found.added), ("DELETE", found.deleted), ("UPDATE", found.changed))
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if found.all else pb.DiffResponse.DIFF_NONE,
            diffs=sorted(found.all),
            replaces=sorted(found.replaces),
            deleteBeforeReplace=found.delete_first,
            hasDetailedDiff=True,
            detailedDiff={
                name: pb.PropertyDiff(
                    kind=pb.PropertyDiff.Kind.Value(f"{change}{'_REPLACE' * (name in found.replaces)}"),
                    inputDiff=True,
                )
                for change, names in changes
                for name in names
            },
        )

    @_answers_errors
    def Create(self, request: pb.CreateRequest, context: grpc.ServicerContext) -> pb.CreateResponse:
        """Make the resource, or plan it: computed properties and the id are then unknown."""
        token, _ = _identity(request.urn)
        inputs = _properties(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=_struct(self._planned(token, inputs, {})))
        id_, properties = self._maker(token, inputs).create(inputs)
        return pb.CreateResponse(id=id_, properties=_struct(properties))

    @_answers_errors
    def Read(self, request: pb.ReadRequest, context: grpc.ServicerContext) -> pb.ReadResponse:
        """Refresh what the program left open; an empty id says that the resource is gone."""
        token, _ = _identity(request.urn)
        inputs = _properties(request.inputs)
        properties = self._maker(token, inputs).read(request.id, _properties(request.properties), inputs)
        if properties is None:
            return pb.ReadResponse()
        return pb.ReadResponse(id=request.id, properties=_struct(properties), inputs=request.inputs)

    @_answers_errors
    def Update(self, request: pb.UpdateRequest, context: grpc.ServicerContext) -> pb.UpdateResponse:
        """Change the resource in place, or plan it: what an update moves is then unknown."""
        token, resource_name = _identity(request.urn)
        olds, news = _properties(request.old_inputs), _properties(request.news)
        changed = plan.difference(_kind(token), resource_name, olds, news).all
        known = {
            name: value
            for name, value in _properties(request.olds).items()
            if name in news or name not in changed
        }
        if request.preview:
            left = {name: value for name, value in known.items() if name not in _kind(token).moving}
            return pb.UpdateResponse(properties=_struct(self._planned(token, news, left)))
        properties = self._maker(token, news).update(request.id, known, olds, news, changed)
        return pb.UpdateResponse(properties=_struct(properties))

    @_answers_errors
    def Delete(self, request: pb.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete the resource, unless it is gone already."""
        token, _ = _identity(request.urn)
        properties = _properties(request.properties)
        self._maker(token, properties).delete(request.id, properties)
        return empty_pb2.Empty()

    @_answers_errors
    def Invoke(self, request: pb.InvokeRequest, context: grpc.ServicerContext) -> pb.InvokeResponse:
        """Answer the functions that need no account."""
        if request.tok in REFUSED:
            raise LookupError(f"{request.tok}: {REFUSED[request.tok]}")
        if request.tok not in INVOKES:
            raise LookupError(
                f"{request.tok}: the local provider answers only {', '.join(sorted(INVOKES))}; "
                f"pass the value by stack configuration, or add the function to local/provider/invokes.py"
            )
        region = _properties(request.args).get("region") or self._region
        response = pb.InvokeResponse()
        getattr(response, "return").CopyFrom(_struct(INVOKES[request.tok](region)))
        return response

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Wait for nothing any more."""
        self._clients.cancelled.set()
        return empty_pb2.Empty()

    def _maker(self, token: str, properties: Properties) -> Maker:
        if token.startswith("docker-build:"):
            raise LookupError(f"{token}: {NO_IMAGE}")
        if token not in kinds():
            raise LookupError(f"{token} is not made locally yet: add it to local/provider/tables")
        return Maker(
            kinds()[token], resource_type(token), self._clients, properties.get("region") or self._region
        )

    def _planned(self, token: str, inputs: Properties, known: Properties) -> Properties:
        type_ = resource_type(token)
        region = {"region": self._region} if "region" in type_.properties else {}
        return plan.planned(type_, inputs, region | known)


def _nameless(token: str, inputs: Properties) -> list[pb.CheckFailure]:
    """What docker-build's provider says of a push without a name: to it one that is not known yet is none.

    https://github.com/pulumi/pulumi-docker-build/blob/v0.0.22/provider/internal/export.go
    """
    if not token.startswith("docker-build:") or inputs.get("tags"):
        return []
    reason = "at least one tag or export name is needed when pushing to a registry"
    return [
        pb.CheckFailure(property=f"exports[{number}]", reason=reason)
        for number, export in enumerate(inputs.get("exports", []))
        if (registry := export.get("registry"))
        and registry.get("push", True)
        and not {*registry.get("names", [])} - {plan.UNKNOWN, ""}
    ]


def _kind(token: str) -> Kind:
    return kinds().get(token, Kind())


def _identity(urn: str) -> tuple[str, str]:
    """The type and the name in a URN: `urn:pulumi:stack::project::parent$type::name`."""
    _, _, types, name = urn.split("::", 3)
    return types.rsplit("$", 1)[-1], name


def _properties(struct: struct_pb2.Struct) -> Properties:
    return _whole(MessageToDict(struct))


def _whole(value: Any) -> Any:
    """The same value with nulls left out and whole numbers as `int`: on the wire every number is a float."""
    match value:
        case dict():
            return {key: _whole(each) for key, each in value.items() if each is not None}
        case list():
            return [_whole(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _struct(properties: Properties) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(properties)
    return struct
