"""The stack's settings: one model over its configuration, checked before any resource is registered."""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from components.forwarders import FORWARDERS
from components.network import PRIVATE_RANGES
from components.task_slots import slot_count

# A stream's shard serves two readers at a time:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
STREAM_READERS = 2
# The variant without a forwarder: each task reads the table each second.
POLL = "poll"
# One inline policy, of 10,240 characters, names every slot's queue to the task:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_SLOTS = 120
SUBNET = re.compile(r"subnet-[0-9a-f]+")
# An image in a region's private registries.
ECR = r"\d{{12}}\.dkr\.ecr\.{region}\.amazonaws\.com/"
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _is_a_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _whole(lowest: int, highest: int) -> Any:
    return Field(ge=lowest, le=highest, description=f"a whole number from {lowest} to {highest}")


def _text(pattern: str, allowed: str) -> Any:
    return Field(pattern=pattern, description=allowed)


def _only_if(condition: Callable[[Any], bool]) -> AfterValidator:
    def check(value: object) -> object:
        if not condition(value):
            raise ValueError
        return value

    return AfterValidator(check)


def _are_variants(names: Sequence[str]) -> bool:
    return list(names) == [POLL] or (
        1 <= len(names) <= STREAM_READERS
        and len(set(names)) == len(names)
        and FORWARDERS.keys() >= set(names)
    )


def _are_zones(letters: Sequence[str]) -> bool:
    return len(letters) == len(set(letters)) == 2 and PRIVATE_RANGES.keys() >= set(letters)


def _from_json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


Flag = Annotated[bool, Field(description="true or false")]
Texts = Annotated[tuple[str, ...], BeforeValidator(_from_json)]


class Settings(BaseModel):
    """The stack's settings. A field's description says what is allowed; `Pulumi.yaml` says what it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    region: str = Field(alias="aws:region", min_length=1, description="a region's name, such as eu-south-1")

    deploys: Literal["fleet", "handoff"] = Field(description="fleet or handoff")
    fan_out: Flag

    variants: Annotated[Texts, _only_if(_are_variants)] = Field(
        description=f"one or two of {', '.join(FORWARDERS)}, each once (a stream takes no third reader), "
        f"or {POLL} alone"
    )
    write_api: Literal["none", "table", "function"] = Field(description="none, table or function")
    write_api_key_expires: str = _text(
        r"^$|^\d{4}-\d\d-\d\dT\d\d:00:00Z$",
        "a full hour in quotes, such as '2027-01-31T00:00:00Z', or empty for no key",
    )
    partial_failure: Literal["report", "raise"] = Field(description="report or raise")
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    lambda_memory: int = _whole(128, 10_240)
    snap_start: Flag

    tasks_min: int = _whole(1, MOST_SLOTS)
    tasks_max: int = _whole(0, MOST_SLOTS)
    scaling_metric: Literal["", "cpu", "memory"] = Field(description="cpu, memory, or empty for none")
    scaling_target: int = _whole(0, 100)
    deployment_minimum_percent: int = _whole(0, 100)
    deployment_maximum_percent: int = _whole(100, 200)
    image: str = _text(
        r"^$|^[\w.:/-]+@sha256:[0-9a-f]{64}$",
        "a URI pinned by digest (…@sha256:<64 hex digits>), or empty to build it",
    )

    # A queue's own limits: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    # Retention ends at a day, since a task's tombstones, in its memory, outlive it.
    slot_retention_seconds: int = _whole(60, 86_400)
    visibility_timeout_seconds: int = _whole(1, 43_200)
    long_poll_seconds: int = _whole(0, 20)
    # At least 5: an aborted long poll counts as a receive.
    max_receives: int = _whole(5, 1_000)
    # A task tells its lag at each third, and a minute without a word is an alarm.
    lease_seconds: int = _whole(3, 120)
    watermark_seconds: int = _whole(1, 3_600)
    rescan_seconds: int = _whole(1, 86_400)
    traces_endpoint: str = _text(
        r"^$|^https://[\w.-]+(:443)?(/[\w./-]*)?$|^http://(127\.0\.0\.1|localhost):\d+$",
        "an https URL on port 443, an http URL on loopback with its port, or empty for no traces",
    )

    network: Literal["endpoints", "nat", "existing"] = Field(description="endpoints, nat or existing")
    zones: Annotated[Texts, _only_if(_are_zones)] = Field(
        description=f"a list of two different letters of {', '.join(PRIVATE_RANGES)}"
    )
    vpc_id: str = _text(r"^$|^vpc-[0-9a-f]+$", "a VPC's id (vpc-…), or empty")
    subnet_ids: Annotated[Texts, _only_if(lambda ids: all(map(SUBNET.fullmatch, ids)))] = Field(
        description="a list of subnets' ids (subnet-…), or empty"
    )

    alarm_email: str = _text(r"^$|^[^@\s]+@[^@\s]+$", "an e-mail address, or empty")
    log_retention_days: Annotated[int, _only_if(RETENTION_DAYS.__contains__)] = Field(
        description=f"one of {', '.join(map(str, RETENTION_DAYS))}"
    )
    deletion_protection: Flag
    force_destroy: Flag

    @property
    def forwarders(self) -> tuple[str, ...]:
        """The variants that carry changes to the tasks; none where tasks poll."""
        return tuple(variant for variant in self.variants if variant != POLL)

    @field_validator("tasks_max")
    @classmethod
    def _at_least_the_minimum(cls, value: int, info: ValidationInfo) -> int:
        return value or info.data.get("tasks_min", value)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if conflicts := list(_conflicts(self)):
            raise ValueError("\n".join(conflicts))
        return self


def _conflicts(s: Settings) -> Iterator[str]:
    """One line for each pair of values that are allowed alone and not together."""
    if s.fan_out and s.deploys != "handoff":
        yield (
            f"statecast:fanOut is True and statecast:deploys {s.deploys!r}: set deploys to 'handoff', or "
            "fanOut to false"
        )
    if s.tasks_max < s.tasks_min:
        yield (
            f"statecast:tasksMax is {s.tasks_max} and statecast:tasksMin {s.tasks_min}: "
            "raise tasksMax, or set it to 0 for as many as tasksMin"
        )
    slots = slot_count(s.tasks_max, s.deployment_maximum_percent)
    if slots > MOST_SLOTS:
        yield (
            f"statecast:tasksMax is {s.tasks_max} and statecast:deploymentMaximumPercent "
            f"{s.deployment_maximum_percent}: they make {slots} slots, lower either for at most {MOST_SLOTS}"
        )
    # As ECS rounds: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
    fewest = math.ceil(s.tasks_min * s.deployment_minimum_percent / 100)
    most = s.tasks_min * s.deployment_maximum_percent // 100
    if most <= fewest:
        yield (
            f"statecast:deploymentMinimumPercent is {s.deployment_minimum_percent} and "
            f"statecast:deploymentMaximumPercent {s.deployment_maximum_percent}: set them further "
            f"apart, since of statecast:tasksMin {s.tasks_min} they make at least {fewest} and at most "
            f"{most}: a deployment can neither stop a task nor start one"
        )
    if s.write_api_key_expires and s.write_api == "none":
        yield (
            f"statecast:writeApiKeyExpires is {s.write_api_key_expires!r} and statecast:writeApi 'none': "
            "set writeApi to table or function, or leave writeApiKeyExpires empty"
        )
    if s.write_api_key_expires and not _is_a_time(s.write_api_key_expires):
        yield (
            f"statecast:writeApiKeyExpires is {s.write_api_key_expires!r}: there is no such day or hour; "
            "give one within a year from now, such as '2027-01-31T00:00:00Z'"
        )
    if bool(s.scaling_metric) != bool(s.scaling_target):
        yield (
            f"statecast:scalingMetric is {s.scaling_metric!r} and statecast:scalingTarget "
            f"{s.scaling_target}: set both, or neither"
        )
    elif s.scaling_metric and s.tasks_max == s.tasks_min:
        yield (
            f"statecast:scalingMetric is {s.scaling_metric!r}, statecast:tasksMin and statecast:tasksMax "
            f"{s.tasks_min}: set tasksMax above tasksMin, or leave scalingMetric empty"
        )
    if s.max_receives * s.visibility_timeout_seconds >= s.slot_retention_seconds:
        yield (
            f"statecast:slotRetentionSeconds is {s.slot_retention_seconds}: set it above "
            f"statecast:maxReceives {s.max_receives} × statecast:visibilityTimeoutSeconds "
            f"{s.visibility_timeout_seconds}, or messages expire before their last receive"
        )
    network = f"statecast:network is {s.network!r}, vpcId {s.vpc_id!r} and subnetIds {list(s.subnet_ids)}"
    if s.network == "existing" and not (s.vpc_id and s.subnet_ids):
        yield f"{network}: set vpcId and subnetIds, or another network"
    if s.network == "endpoints" and s.image and not re.match(ECR.format(region=re.escape(s.region)), s.image):
        yield (
            f"statecast:image is {s.image!r} and statecast:network 'endpoints', which leads to ECR of "
            f"{s.region} alone: copy the image there, or set network to nat or existing"
        )
    if s.network != "existing" and (s.vpc_id or s.subnet_ids):
        yield f"{network}: set network to 'existing', or leave vpcId and subnetIds empty"


def _in_full(key: str) -> str:
    return key if ":" in key else f"statecast:{key}"


def parse(configuration: Mapping[str, object]) -> Settings:
    """Settings from a stack's whole configuration, keyed as in its file.

    Raises:
        pulumi.RunError: one line for each wrong value: the key, what was given, what is allowed.
    """
    own = {
        key.removeprefix("statecast:"): value
        for key, value in configuration.items()
        if key.startswith("statecast:") or key == "aws:region"
    }
    allowed = {field.alias or name: field.description for name, field in Settings.model_fields.items()}
    try:
        return Settings.model_validate(own)
    except ValidationError as error:
        lines: list[str] = []
        for wrong in error.errors():
            key = str(wrong["loc"][0]) if wrong["loc"] else ""
            match wrong["type"]:
                case "extra_forbidden":
                    (nearest,) = difflib.get_close_matches(key, allowed, n=1, cutoff=0)
                    lines.append(f"{_in_full(key)} is not a setting: did you mean {_in_full(nearest)}?")
                case "missing":
                    lines.append(f"{_in_full(key)} is not set: set it to {allowed[key]}")
                case _ if not key:
                    lines.append(wrong["msg"].removeprefix("Value error, "))
                case _:
                    lines.append(f"{_in_full(key)} is {own[key]!r}: set it to {allowed[key]}")
        raise pulumi.RunError("\n".join(dict.fromkeys(lines))) from None


def read() -> Settings:
    """Settings of the stack that is being deployed. Raises as `parse` does."""
    return parse({**get_config_env(), **CONFIG.get()})
