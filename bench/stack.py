"""Finding a stack: the laptop's, or one on AWS. Past this file nothing differs between the two."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from bench.errors import ExperimentError

PROJECT = Path(__file__).resolve().parent.parent
AWS_ONLY = frozenset({"bus"})
"""Variants that an emulator deploys and does not run: its pipes lead to topics alone."""


class Told(Protocol):
    """The outputs of any stack: they tell where it is."""

    @property
    def region(self) -> str:
        """The region that it is in."""
        ...


class Outputs(BaseModel):
    """The outputs of a stack that deploys the fleet."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    table: str
    stream_arn: str
    topic_arn: str
    slots: list[dict[str, str]]
    leases_table: str
    cluster: str
    service: str
    log_group: str
    variants: list[str]
    api_url: str
    archive: str

    @property
    def region(self) -> str:
        """The region, from the stream's ARN."""
        return self.stream_arn.split(":")[3]


class HandoffOutputs(BaseModel):
    """The outputs of a stack that deploys the hand-off: its functions by ARN."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    sender: str
    sender_log_group: str
    receiver: str
    receiver_log_group: str
    ways: list[str]

    @property
    def region(self) -> str:
        """The region, from a function's ARN."""
        return self.sender.split(":")[3]


OTHER: dict[type[BaseModel], tuple[str, str]] = {
    Outputs: ("sender", "the hand-off: `bench handoff` measures it"),
    HandoffOutputs: ("streamArn", "the fleet: `bench run` and the others measure it"),
}
"""An output by which one knows that a stack is of the other kind; what it deploys, and what to do."""
OutputsT = TypeVar("OutputsT", bound=Told)
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Deployed(Generic[OutputsT]):
    """A deployed stack, and the clients to reach it. `endpoint` is the emulator's URL, None on AWS."""

    name: str
    outputs: OutputsT
    endpoint: str | None = None

    @property
    def region(self) -> str:
        """The region that it is in."""
        return self.outputs.region

    @property
    def credentials(self) -> Credentials:
        """What requests are signed with."""
        if self.endpoint:
            return Credentials("test", "test")
        if (found := boto3.Session().get_credentials()) is None:
            raise NoCredentialsError
        return found

    def client(self, service: str, attempts: int = 8) -> Any:
        """A boto3 client, which threads may share; `attempts` counts the first call too."""
        return _client(service, self.region, self.endpoint, attempts)


class Stack(Deployed[Outputs]):
    """A fleet."""


class HandoffStack(Deployed[HandoffOutputs]):
    """A hand-off."""


@cache
def _client(service: str, region: str, endpoint: str | None, attempts: int) -> Any:
    emulator = {"endpoint_url": endpoint, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(
        service,  # pyright: ignore[reportArgumentType, reportCallIssue]
        region_name=region,
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, max_pool_connections=16),
        **(emulator if endpoint else {}),
    )


def find(name: str) -> Stack:
    """The fleet that a stack deploys: the local stack of that name if it is up, else the one on AWS."""
    return Stack(name, *_found(name, Outputs))


def find_handoff(name: str) -> HandoffStack:
    """The hand-off that a stack deploys, in the same way."""
    return HandoffStack(name, *_found(name, HandoffOutputs))


def refuse_other_variants(stack: Stack, variants: set[str], why: str) -> None:
    """Raise ExperimentError, which says why, unless the stack has these variants."""
    if set(stack.outputs.variants) != variants:
        raise ExperimentError(f"stack {stack.name!r} has variants {', '.join(stack.outputs.variants)}: {why}")


def _found(name: str, model: type[ModelT]) -> tuple[ModelT, str | None]:
    """The outputs that Pulumi holds for a stack, and the endpoint if it is local."""
    local = _call(sys.executable, "-m", "local", "status", "--stack", name, "--json")
    if local.returncode == 0:
        status = json.loads(local.stdout)
        return _outputs(name, status["outputs"], model), status["endpoint"]
    absent = f"no local stack {name!r} is up ({_last_line(local.stderr)})"
    try:
        pulumi = _call("pulumi", "stack", "output", "--json", "--stack", name)
    except FileNotFoundError:
        raise ExperimentError(f"{absent}; to find one on AWS, `pulumi` must be on PATH") from None
    if pulumi.returncode != 0:
        reason = _last_line(pulumi.stderr)
        raise ExperimentError(f"{absent}, and `pulumi stack output --stack {name}` failed: {reason}")
    return _outputs(name, json.loads(pulumi.stdout), model), None


def _outputs(name: str, outputs: dict[str, Any], model: type[ModelT]) -> ModelT:
    try:
        return model.model_validate(outputs)
    except ValidationError as problem:
        telling, deploys = OTHER[model]
        if telling in outputs:
            raise ExperimentError(f"stack {name!r} deploys {deploys}") from None
        wrong = ", ".join(".".join(map(str, error["loc"])) for error in problem.errors())
        raise ExperimentError(
            f"stack {name!r} lacks the outputs {wrong}: did its `pulumi up` complete, and is it statecast's?"
        ) from None


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ").rstrip(".")
