"""Containers that can do little harm, and services that notice a bad deployment."""

import json
from collections.abc import Callable
from typing import Any

from pulumi_policy import PolicyResource, Severity

from ..kinds import ROLE, SERVICE, TASK_DEFINITION
from ..rule import Fixes, Rule, rule
from ..stack import Resource, Stack, known, value

Container = dict[str, Any]


def _of_containers(
    severity: Severity, fix: str, answers: str = ""
) -> Callable[[Callable[[Container], object]], Rule]:
    """Make a rule of what every container must be."""

    def make(is_right: Callable[[Container], object]) -> Rule:
        def find(task: Resource) -> Fixes:
            for container in json.loads(value(task, "containerDefinitions") or "[]"):
                if not is_right(container):
                    yield f"{fix} in container '{container.get('name')}'."

        find.__name__, find.__doc__ = is_right.__name__, is_right.__doc__
        return rule(severity, TASK_DEFINITION, answers=answers)(find)

    return make


def _block(container: Container, key: str) -> dict[str, Any]:
    return container.get(key) or {}


@_of_containers(Severity.HIGH, "set readonlyRootFilesystem to true", "CKV_AWS_336 ECS.5")
def container_root_is_read_only(container: Container) -> bool:
    """Every container's root file system is read-only."""
    return container.get("readonlyRootFilesystem") is True


@_of_containers(Severity.HIGH, "set user to a number other than 0", "ECS.20")
def container_is_not_root(container: Container) -> bool:
    """Every container runs as a user other than root, named in the task definition."""
    return str(container.get("user") or "root").split(":")[0] not in ("root", "0")


@_of_containers(Severity.CRITICAL, "set privileged to false, or leave it out,", "CKV_AWS_334 ECS.4")
def container_is_not_privileged(container: Container) -> bool:
    """No container has its host's privileges."""
    return not container.get("privileged")


@_of_containers(Severity.MEDIUM, "set healthCheck")
def container_has_health_check(container: Container) -> bool:
    """Every essential container has a health check: a Dockerfile's own does not count on ECS."""
    return container.get("essential") is False or bool(_block(container, "healthCheck").get("command"))


@_of_containers(Severity.HIGH, "name the image by digest, …@sha256:…,")
def container_image_is_pinned(container: Container) -> bool:
    """Every container's image is named by its digest: a tag can mean another image tomorrow."""
    return "@sha256:" in str(container.get("image"))


@_of_containers(Severity.MEDIUM, "set logConfiguration", "AwsSolutions-ECS7 ECS.9")
def container_logs(container: Container) -> bool:
    """Every container's output goes to a log."""
    return bool(_block(container, "logConfiguration").get("logDriver"))


@rule(Severity.HIGH, TASK_DEFINITION, answers="ECSTaskDefinitionUserForHostMode CKV_AWS_335 ECS.3 ECS.17")
def task_is_apart_from_host(task: Resource) -> Fixes:
    """No task shares its host's network, processes or memory."""
    for setting, key in (("network_mode", "networkMode"), ("pid_mode", "pidMode"), ("ipc_mode", "ipcMode")):
        if value(task, key) == "host":
            yield f"set {setting} to another than host."


@rule(Severity.HIGH, TASK_DEFINITION, answers="CKV_AWS_249")
def task_has_a_role_of_its_own(task: PolicyResource, stack: Stack) -> Fixes:
    """No task runs under the role by which ECS starts it, which reads its image and its secrets."""
    given = [("taskRoleArn",), ("executionRoleArn",)]
    own, of_ecs = ({role.urn for role in stack.referred(task, path, ROLE)} for path in given)
    name, name_of_ecs = (known(task, *path) for path in given)
    if own & of_ecs or (name and name == name_of_ecs):
        yield "set task_role_arn to another role than execution_role_arn."


@rule(Severity.MEDIUM, SERVICE, answers="CKV_AWS_332 ECS.10")
def service_is_on_the_latest_platform(service: Resource) -> Fixes:
    """Every service of Fargate runs on its latest platform: older ones are retired."""
    if value(service, "platformVersion") not in (None, "", "LATEST"):
        yield "set platform_version to LATEST, or leave it out."


@rule(Severity.MEDIUM, SERVICE)
def service_has_circuit_breaker(service: Resource) -> Fixes:
    """Every service gives up a deployment whose tasks do not become healthy."""
    is_rolling = (value(service, "deploymentController", "type") or "ECS") == "ECS"
    if is_rolling and not value(service, "deploymentCircuitBreaker", "enable"):
        yield "set deployment_circuit_breaker, with enable and rollback."


@rule(Severity.HIGH, SERVICE, answers="CKV_AWS_333 ECS.2")
def service_has_no_public_address(service: Resource) -> Fixes:
    """No service gives its tasks public IP addresses."""
    if value(service, "networkConfiguration", "assignPublicIp"):
        yield "set assign_public_ip to False."
