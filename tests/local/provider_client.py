"""Drive the provider as the engine does."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import provider_pb2 as pb

from local.provider.service import Provider

Properties = dict[str, Any]


class RefusedError(Exception):
    """What the engine would show as the resource's error."""


class _Context(grpc.ServicerContext):
    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise RefusedError(details)


_Context.__abstractmethods__ = frozenset()


def struct(properties: Properties) -> struct_pb2.Struct:
    result = struct_pb2.Struct()
    result.update(properties)
    return result


@dataclass
class Client:
    """An attached provider."""

    provider: Provider = field(default_factory=Provider)
    context: grpc.ServicerContext = field(default_factory=_Context)

    def configure(self, **config: str) -> None:
        self.provider.Configure(pb.ConfigureRequest(args=struct(config)), self.context)

    def check(
        self, token: str, name: str, news: Properties, olds: Properties | None = None, seed: bytes = b"seed"
    ) -> Properties:
        response = self.provider.Check(
            pb.CheckRequest(
                urn=urn(token, name), news=struct(news), olds=struct(olds or {}), randomSeed=seed
            ),
            self.context,
        )
        if response.failures:
            raise RefusedError("; ".join(f"{each.property}: {each.reason}" for each in response.failures))
        return MessageToDict(response.inputs)

    def plan(self, token: str, name: str, inputs: Properties) -> Properties:
        response = self.provider.Create(
            pb.CreateRequest(urn=urn(token, name), properties=struct(inputs), preview=True), self.context
        )
        assert response.id == ""
        return MessageToDict(response.properties)

    def create(self, token: str, resource_name: str, /, **inputs: Any) -> "Made":
        checked = self.check(token, resource_name, inputs, seed=resource_name.encode())
        response = self.provider.Create(
            pb.CreateRequest(urn=urn(token, resource_name), properties=struct(checked)), self.context
        )
        return Made(self, urn(token, resource_name), response.id, checked, MessageToDict(response.properties))

    def invoke(self, token: str, **arguments: Any) -> Properties:
        response = self.provider.Invoke(pb.InvokeRequest(tok=token, args=struct(arguments)), self.context)
        return MessageToDict(getattr(response, "return"))


@dataclass
class Made:
    """A resource as the engine's state has it."""

    client: Client
    urn: str
    id: str
    inputs: Properties
    outputs: Properties

    def __getitem__(self, name: str) -> Any:
        return self.outputs[name]

    def diff(self, **inputs: Any) -> pb.DiffResponse:
        return self.client.provider.Diff(
            pb.DiffRequest(
                urn=self.urn,
                id=self.id,
                olds=struct(self.outputs),
                old_inputs=struct(self.inputs),
                news=struct(self.inputs | inputs),
            ),
            self.client.context,
        )

    def update(self, *, preview: bool = False, without: str = "", **inputs: Any) -> Properties:
        """Change some inputs in place, or take one away; the new outputs."""
        news = {name: value for name, value in (self.inputs | inputs).items() if name != without}
        response = self.client.provider.Update(
            pb.UpdateRequest(
                urn=self.urn,
                id=self.id,
                olds=struct(self.outputs),
                old_inputs=struct(self.inputs),
                news=struct(news),
                preview=preview,
            ),
            self.client.context,
        )
        outputs = MessageToDict(response.properties)
        if not preview:
            self.inputs = news
            self.outputs = outputs
        return outputs

    def read(self) -> Properties | None:
        """Its outputs now; none when it is gone."""
        response = self.client.provider.Read(
            pb.ReadRequest(
                urn=self.urn, id=self.id, properties=struct(self.outputs), inputs=struct(self.inputs)
            ),
            self.client.context,
        )
        return MessageToDict(response.properties) if response.id else None

    def delete(self) -> None:
        self.client.provider.Delete(
            pb.DeleteRequest(urn=self.urn, id=self.id, properties=struct(self.outputs)), self.client.context
        )


def urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::scratch::own:components:Parent${token}::{name}"
