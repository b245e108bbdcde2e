"""What a stack is set to, from its files alone: what it costs follows from that, not from what runs."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bench.deliveries import POLL
from bench.errors import ExperimentError
from bench.stack import PROJECT

DEFAULT_REGION = "eu-south-1"


class Configuration(BaseModel):
    """The settings that costs and limits follow from. The program checks what is allowed, at a preview."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    region: str = Field(default=DEFAULT_REGION, alias="aws:region")
    deploys: Literal["fleet", "handoff"]
    variants: tuple[str, ...]
    write_api: Literal["none", "table", "function"]
    lambda_memory: int
    snap_start: bool
    tasks_min: int = Field(ge=1)
    tasks_max: int
    deployment_maximum_percent: int
    long_poll_seconds: int
    lease_seconds: int
    watermark_seconds: int
    rescan_seconds: int
    network: Literal["endpoints", "nat", "existing"]

    @property
    def forwarders(self) -> tuple[str, ...]:
        """What carries changes to the tasks; none where they poll."""
        return tuple(variant for variant in self.variants if variant != POLL)

    @property
    def slots(self) -> int:
        """Slots for all tasks at once, those of a rolling deployment too."""
        return -(-max(self.tasks_max, self.tasks_min) * self.deployment_maximum_percent // 100)

    def having(self, **settings: Any) -> "Configuration":
        """The same with other settings."""
        return self.model_copy(update=settings)


def file_of(stack: str, project: Path = PROJECT) -> Path:
    """Where a stack's own settings stand."""
    return project / f"Pulumi.{stack}.yaml"


def defaults(project: Path = PROJECT) -> Configuration:
    """The configuration of a stack without settings of its own."""
    return Configuration.model_validate(_defaults(project))


def _defaults(project: Path) -> dict[str, Any]:
    settings = yaml.safe_load((project / "Pulumi.yaml").read_text())["config"]
    return {key: setting["default"] for key, setting in settings.items()}


def configuration(stack: str, project: Path = PROJECT) -> Configuration:
    """The configuration of a stack: `Pulumi.<stack>.yaml` on top of the defaults in `Pulumi.yaml`.

    Raises:
        ExperimentError: there is no such stack of a fleet, or a value has another type.
    """
    file = file_of(stack, project)
    if not file.exists():
        names = sorted(path.name.split(".")[1] for path in project.glob("Pulumi.*.yaml"))
        raise ExperimentError(f"there is no {file.name}: give --stack one of {', '.join(names)}")
    values = _defaults(project)
    own: dict[str, Any] = (yaml.safe_load(file.read_text()) or {}).get("config") or {}
    values |= {key.removeprefix("statecast:"): value for key, value in own.items()}
    try:
        found = Configuration.model_validate(values)
    except ValidationError as problem:
        wrong = "; ".join(
            f"{'.'.join(map(str, error['loc']))} is {error['input']!r}: {error['msg']}"
            for error in problem.errors()
        )
        raise ExperimentError(f"{file.name}: {wrong}") from None
    if found.deploys != "fleet":
        raise ExperimentError(
            f"stack {stack!r} deploys {found.deploys}, not a fleet: give --stack another one"
        )
    return found
