"""Make, read, update and delete resources by the tables."""

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import boto3
import jmespath
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import StructureShape

from .archive import is_archive, zipped
from .calls import outputs, parameters, taken
from .invokes import ACCOUNT
from .kinds import Call, Kind, Step
from .plan import Properties, tagged
from .sdk import ResourceType

_GONE = re.compile(r"NotFound|NoSuch|NonExist|DoesNotExist|^404$")
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.1


class CallError(Exception):
    """What a call was for and why it failed, in one line."""


class GoneError(CallError):
    """The thing that a call was for does not exist."""


class Clients:
    """boto3 clients of the emulator, one for each service and region, made when first used."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str, region: str) -> Any:
        """The client; one that would call AWS itself is refused."""
        if not os.environ.get("AWS_ENDPOINT_URL"):
            raise CallError("AWS_ENDPOINT_URL is not set: without an emulator the local provider only plans")
        with self._lock:  # a session may not be used by two threads
            if (service, region) not in self._clients:
                create: Any = boto3.client
                self._clients[service, region] = create(service, region_name=region)
            return self._clients[service, region]


class Maker:
    """Makes the resources of one type.

    Its methods pass around a `state`: the properties with `id`, `label`, `region` and `account`.
    """

    def __init__(self, kind: Kind, type_: ResourceType, clients: Clients, region: str) -> None:
        self._kind = kind
        self._type = type_
        self._clients = clients
        self._region = region

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make it and wait until it can be used: its id and outputs. If that fails, nothing of it is left."""
        state = self._state(_packed(inputs))
        answer: Mapping[str, Any] = {}
        if self._kind.create:
            self._refuse_wrong(inputs)
            self._refuse_unused(inputs, self._kind.create)
            response = self._call(self._kind.create, state)
            answer = self._thing(response, state) or response
        state["id"] = _filled(self._kind.id, answer, self._known(answer, state), state)
        known = self._known(answer, state)
        state = known | state
        try:
            self._wait(state)
            self._set(self._kind.settings, inputs.keys(), state)
            found = self._found(state)
        except CallError:
            self.delete(state["id"], state)
            raise
        return state["id"], self._outputs(inputs, known | (found or {}))

    def read(self, id_: str, properties: Properties, inputs: Properties) -> Properties | None:
        """Its outputs now, or none when it is gone. Only what the program left open is looked up."""
        found = self._found(self._state(properties | inputs, id_))
        return None if found is None else self._outputs(inputs, properties | found)

    def update(
        self, id_: str, known: Properties, olds: Properties, news: Properties, changed: frozenset[str]
    ) -> Properties:
        """Change it in place; its outputs."""
        state = self._state(known | _packed(news), id_)
        self._set((*self._kind.updates, *self._kind.settings), changed, state)
        if "tags" in changed:
            self._retag(state, olds.get("tags", {}))
        return self._outputs(news, known | (self._found(state) or {}))

    def delete(self, id_: str, properties: Properties) -> None:
        """Delete it, unless it is gone."""
        state = self._state(properties, id_)
        if self._kind.emptied and state.get("forceDestroy") and self._answer(state) is not None:
            pages = self._client().get_paginator("list_object_versions").paginate(Bucket=id_)
            for version in pages.search("[Versions, DeleteMarkers][][].{Key: Key, VersionId: VersionId}"):
                self._client().delete_object(Bucket=id_, **version)
        for call in self._kind.delete:
            try:
                self._call(call, state)
            except GoneError:
                continue

    def _refuse_wrong(self, inputs: Properties) -> None:
        for name in inputs.keys() & self._kind.refused.keys():
            raise CallError(f"{self._type.token}: {name}: {self._kind.refused[name]}")

    def _refuse_unused(self, inputs: Properties, create: Call) -> None:
        """An input that no call takes is refused: left out silently, it would look as if it worked."""
        steps = (*self._kind.settings, *self._kind.updates)
        used = {"region", "tags", "namePrefix", *self._kind.local}
        used |= {name for step in steps for name in step.changes}
        left = (
            inputs.keys()
            - used
            - taken(self._shape(create.call), inputs, self._kind.members, self._type.name)
        )
        if left:
            raise CallError(
                f"{self._type.token}: the local provider has no use for {', '.join(sorted(left))}; "
                "say in local/provider/tables which call takes it, or list it under `local`"
            )

    def _state(self, properties: Properties, id_: str = "") -> Properties:
        state = {"label": self._kind.label, "region": self._region, "account": ACCOUNT} | properties
        if id_:
            # An imported resource has nothing but its id.
            state |= {"id": id_} if properties else {"id": id_, **_unfilled(self._kind.id, id_)}
        return state

    def _outputs(self, inputs: Properties, found: Properties) -> Properties:
        return found | tagged(self._type, inputs) | inputs

    def _known(self, answer: Mapping[str, Any], state: Properties) -> Properties:
        """The properties that an answer tells: by name, by the ARN's template, by the tables' expressions."""
        found = outputs(self._type, answer)
        if "region" in self._type.properties:
            found["region"] = self._region
        if self._kind.arn:
            found["arn"] = _filled(self._kind.arn, answer, found, state)
        return found | self._told(self._kind.outputs, {**answer, **state, **found})

    def _told(self, expressions: Mapping[str, str], scope: Mapping[str, Any]) -> Properties:
        values = {name: jmespath.search(expression, scope) for name, expression in expressions.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _found(self, state: Properties) -> Properties | None:
        """The properties as the cloud has them; none when the thing is gone."""
        answer = self._answer(state)
        if answer is None:
            return None
        found = self._known(answer, state)
        for lookup in self._kind.lookups:
            found |= self._told(lookup.outputs, {**self._call(lookup, state | found), **state, **found})
        return found

    def _answer(self, state: Properties) -> Mapping[str, Any] | None:
        if self._kind.read is None:
            return {}
        try:
            return self._thing(self._call(self._kind.read, state), state)
        except GoneError:
            return None

    def _thing(self, response: Mapping[str, Any], state: Properties) -> Mapping[str, Any] | None:
        thing = jmespath.search(self._kind.thing, response)
        if isinstance(thing, list):
            # Before it has an id, the only one in the list is the one just made.
            wanted = _filled(self._kind.pick, state) if "id" in state else ""
            return next((each for each in thing if not wanted or wanted in each.values()), None)
        return thing or None

    def _wait(self, state: Properties) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while self._kind.ready and not jmespath.search(self._kind.ready, self._answer(state)):
            if time.monotonic() > deadline:
                raise CallError(f"{self._type.token} {state['id']}: not ready after {_READY_SECONDS:.0f} s")
            if self._clients.cancelled.wait(_POLL_SECONDS):
                raise CallError(f"{self._type.token} {state['id']}: cancelled before it was ready")

    def _set(self, steps: Sequence[Step], names: Collection[str], state: Properties) -> None:
        """Make the calls that set any of these properties."""
        for step in steps:
            if "*" in step.changes or set(step.changes) & set(names):
                self._call(step, state)
                self._wait(state)

    def _retag(self, state: Properties, olds: Mapping[str, str]) -> None:
        tags = state.get("tags", {})
        removed = {key: value for key, value in olds.items() if key not in tags}
        if tags and self._kind.tag:
            self._call(self._kind.tag, state)
        if removed and self._kind.untag:
            self._call(self._kind.untag, state | {"tags": removed, "tagKeys": list(removed)})

    def _call(self, call: Call, state: Properties) -> Mapping[str, Any]:
        if not jmespath.search(call.when, state):
            return {}
        members = self._kind.members | call.members
        try:
            return getattr(self._client(), call.call)(
                **parameters(self._shape(call.call), state, members, self._type.name)
            )
        except ClientError as error:
            gone = _GONE.search(error.response.get("Error", {}).get("Code", ""))
            raise (GoneError if gone else CallError)(f"{self._type.token}: {error}") from error
        except BotoCoreError as error:
            message = " ".join(str(error).split())
            raise CallError(f"{self._type.token}: {call.call}: {message}") from error

    def _client(self) -> Any:
        return self._clients.get(self._kind.service, self._region)

    def _shape(self, call: str) -> StructureShape:
        meta = self._client().meta
        return meta.service_model.operation_model(meta.method_to_api_mapping[call]).input_shape


def _packed(inputs: Properties) -> Properties:
    return {name: zipped(value) if is_archive(value) else value for name, value in inputs.items()}


def _filled(template: str, *values: Mapping[str, Any]) -> str:
    """The template, each name from the first of the values that has it; nothing for what none has."""
    scope: defaultdict[str, Any] = defaultdict(str)
    for each in reversed(values):
        scope.update(each)
    return template.format_map(scope)


def _unfilled(template: str, text: str) -> Properties:
    """The names in a template with what stands for them in the text."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(template))
    found = re.fullmatch(pattern, text)
    return found.groupdict() if found else {}
