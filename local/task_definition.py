"""What a task definition asks of the ECS agent, and how the agent judges a container's health."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class HealthCheck:
    """The health check of a container; times in seconds.

    Defaults: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
    """

    command: tuple[str, ...]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0


@dataclass(frozen=True)
class Container:
    """The one container of a task."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stop_timeout: float
    health_check: HealthCheck | None
    log_group: str | None
    log_prefix: str


def read_container(definition: Mapping[str, Any]) -> Container:
    """The container of a task definition as DescribeTaskDefinition gives it.

    Raises:
        ValueError: it cannot be run as a single process.
    """
    name = f"task definition {definition['family']}:{definition['revision']}"
    containers = definition["containerDefinitions"]
    if len(containers) != 1:
        raise ValueError(f"{name} has {len(containers)} containers; here a task is one process: give it one")
    container = containers[0]
    if not container.get("command"):
        raise ValueError(f"{name} has no command; the image's is not known here: give it one")
    log = container.get("logConfiguration") or {}
    options = log.get("options", {}) if log.get("logDriver") == "awslogs" else {}
    return Container(
        name=container["name"],
        command=tuple(container["command"]),
        environment={entry["name"]: entry["value"] for entry in container.get("environment", [])},
        # Default: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
        stop_timeout=container.get("stopTimeout", 30),
        health_check=read_health_check(container.get("healthCheck")),
        log_group=options.get("awslogs-group"),
        log_prefix=options.get("awslogs-stream-prefix", "ecs"),
    )


def read_health_check(check: Mapping[str, Any] | None) -> HealthCheck | None:
    """The health check of a container definition, if it has one."""
    if not check or check["command"][0] == "NONE":
        return None
    form, *command = check["command"]
    names = {
        "interval": "interval",
        "timeout": "timeout",
        "retries": "retries",
        "start_period": "startPeriod",
    }
    given = {name: check[key] for name, key in names.items() if check.get(key) is not None}
    return HealthCheck(("/bin/sh", "-c", *command) if form == "CMD-SHELL" else tuple(command), **given)


@dataclass(frozen=True)
class Health:
    """What the health checks so far amount to, and how many have failed in a row."""

    status: Literal["UNKNOWN", "HEALTHY", "UNHEALTHY"] = "UNKNOWN"
    failures: int = 0


def judge(health: Health, check: HealthCheck, *, passed: bool, age: float) -> Health:
    """The health after one more check of a container that is `age` seconds old.

    Failures in the start period do not count until a check has passed.
    """
    if passed:
        return Health("HEALTHY")
    if health.status == "UNKNOWN" and age < check.start_period:
        return health
    failures = health.failures + 1
    return Health("UNHEALTHY" if failures >= check.retries else health.status, failures)
