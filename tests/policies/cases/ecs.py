import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws

from tests.policies.case import Case, Cases
from tests.policies.cases.parts import arn, function, role, unknown

RIGHT: dict[str, Any] = {
    "name": "right",
    "image": f"repository@sha256:{'0' * 64}",
    "essential": True,
    "user": "10001:10001",
    "readonlyRootFilesystem": True,
    "healthCheck": {"command": ["CMD", "true"]},
    "logConfiguration": {"logDriver": "awslogs"},
    "environment": [{"name": "QUEUE_URL", "value": "https://elsewhere"}],
}


def task(name: str, containers: Any, **given: Any) -> aws.ecs.TaskDefinition:
    definitions = pulumi.Output.json_dumps(containers)
    return aws.ecs.TaskDefinition(name, family=name, container_definitions=definitions, **given)


# What a container has, or leaves out, for each rule on containers: wrong, and right in another way.
WRONG: dict[str, list[dict[str, Any]]] = {
    "container-root-is-read-only": [{"readonlyRootFilesystem": None}, {"readonlyRootFilesystem": False}],
    "container-is-not-root": [{"user": None}, {"user": "root"}, {"user": "0:0"}, {"user": ""}],
    "container-is-not-privileged": [{"privileged": True}],
    "container-has-health-check": [{"healthCheck": None}, {"healthCheck": {}}],
    "container-image-is-pinned": [{"image": "repository:latest"}, {"image": "repository"}],
    "container-logs": [{"logConfiguration": None}],
}
OTHERS: dict[str, dict[str, Any]] = {
    "container-is-not-root": {"user": "app"},
    "container-is-not-privileged": {"privileged": False},
    "container-has-health-check": {"essential": False, "healthCheck": None},
}


def _container(**given: Any) -> dict[str, Any]:
    return {key: each for key, each in (RIGHT | given).items() if each is not None}


def _of(rule: str, outcome: str, build: Callable[[str], object], *named: str) -> Case:
    return Case(rule, outcome, build, frozenset(named))


def _wrong(given: list[dict[str, Any]]) -> Callable[[str], None]:
    def one_of_two_containers(at: str) -> None:
        for number, each in enumerate(given):
            task(f"{at}task-{number}", [_container(), _container(**each)])

    return one_of_two_containers


def _right(given: dict[str, Any]) -> Callable[[str], None]:
    def every_container(at: str) -> None:
        task(f"{at}task", [_container(), _container(**given)])

    return every_container


def containers_that_are_not_known_yet(at: str) -> None:
    task(f"{at}task", [_container(environment=[{"name": "TOPIC", "value": unknown(at)}])])


def a_service(at: str) -> None:
    aws.ecs.Service(f"{at}service", task_definition=arn("task").replace("sqs", "ecs"))


containers = [
    case
    for rule, wrong in WRONG.items()
    for case in (
        _of(rule, "fails", _wrong(wrong), *(f"task-{number}" for number in range(len(wrong)))),
        _of(rule, "passes", _right(OTHERS.get(rule, {}))),
        _of(rule, "undecided", containers_that_are_not_known_yet, "task"),
        _of(rule, "not applicable", a_service),
    )
]

apart = Cases("task-is-apart-from-host")


@apart.fails("network", "processes", "memory")
def what_it_shares(at: str) -> None:
    task(f"{at}network", [RIGHT], network_mode="host")
    task(f"{at}processes", [RIGHT], pid_mode="host")
    task(f"{at}memory", [RIGHT], ipc_mode="host")


@apart.passes
def what_is_its_own(at: str) -> None:
    task(f"{at}task", [RIGHT], network_mode="awsvpc", pid_mode="task", ipc_mode="none")


@apart.undecided("task")
def what_is_not_known_yet(at: str) -> None:
    task(f"{at}task", [RIGHT], network_mode=unknown(at))


@apart.not_applicable
def no_task(at: str) -> None:
    a_service(at)


own_role = Cases("task-has-a-role-of-its-own")


@own_role.fails("planned", "deployed")
def one_role_for_both(at: str) -> None:
    made, given = role(f"{at}role", "ecs-tasks").arn, "arn:aws:iam::123456789012:role/r"
    task(f"{at}planned", [RIGHT], task_role_arn=made, execution_role_arn=made)
    task(f"{at}deployed", [RIGHT], task_role_arn=given, execution_role_arn=given)


@own_role.passes
def a_role_for_each(at: str) -> None:
    own, of_ecs = (role(f"{at}{name}", "ecs-tasks").arn for name in ("own", "of-ecs"))
    task(f"{at}task", [RIGHT], task_role_arn=own, execution_role_arn=of_ecs)


@own_role.not_applicable
def no_role(at: str) -> None:
    task(f"{at}task", [RIGHT])


platform = Cases("service-is-on-the-latest-platform")


@platform.fails("service")
def an_old_platform(at: str) -> None:
    aws.ecs.Service(f"{at}service", platform_version="1.3.0")


@platform.passes
def the_latest_platform(at: str) -> None:
    aws.ecs.Service(f"{at}service", platform_version="LATEST")


@platform.undecided("service")
def a_platform_that_is_not_known_yet(at: str) -> None:
    aws.ecs.Service(f"{at}service", platform_version=unknown(at))


@platform.not_applicable
def the_platform_left_to_aws(at: str) -> None:
    aws.ecs.Service(f"{at}service")


breaker = Cases("service-has-circuit-breaker")


@breaker.fails("none", "off")
def no_breaker(at: str) -> None:
    aws.ecs.Service(f"{at}none")
    aws.ecs.Service(f"{at}off", deployment_circuit_breaker={"enable": False, "rollback": True})


@breaker.passes
def a_breaker(at: str) -> None:
    aws.ecs.Service(f"{at}service", deployment_circuit_breaker={"enable": True, "rollback": True})


@breaker.undecided("service")
def a_breaker_that_is_not_known_yet(at: str) -> None:
    breaker_ = {"enable": unknown(at).apply(bool), "rollback": True}
    aws.ecs.Service(f"{at}service", deployment_circuit_breaker=breaker_)


@breaker.not_applicable
def deployed_by_others(at: str) -> None:
    aws.ecs.Service(f"{at}service", deployment_controller={"type": "CODE_DEPLOY"})


address = Cases("service-has-no-public-address")


@address.fails("service")
def a_public_address(at: str) -> None:
    network = {"subnets": ["subnet-1"], "assign_public_ip": True}
    aws.ecs.Service(f"{at}service", network_configuration=network)


@address.passes
def a_private_address(at: str) -> None:
    aws.ecs.Service(f"{at}service", network_configuration={"subnets": [unknown(at)]})


@address.undecided("service")
def an_address_that_is_not_known_yet(at: str) -> None:
    network = {"subnets": ["subnet-1"], "assign_public_ip": unknown(at).apply(bool)}
    aws.ecs.Service(f"{at}service", network_configuration=network)


@address.not_applicable
def no_network_of_its_own(at: str) -> None:
    aws.ecs.Service(f"{at}service")


secrets = Cases("environment-has-no-secret")


def _function(at: str, **variables: Any) -> None:
    function(f"{at}function", environment={"variables": variables})


@secrets.fails("function")
def by_name(at: str) -> None:
    _function(at, QUEUE_URL="https://elsewhere", DB_PASSWORD="x")


@secrets.fails("short", "phrase")
def by_other_names(at: str) -> None:
    function(f"{at}short", environment={"variables": {"DB_PASS": "x"}})
    function(f"{at}phrase", environment={"variables": {"PULUMI_CONFIG_PASSPHRASE": "x"}})


@secrets.fails("function", "task")
def a_password_in_a_url(at: str) -> None:
    _function(at, DATABASE_URL="postgres://app:hunter2@db.example.com:5432/orders")
    task(f"{at}task", [_container(environment=[{"name": "CACHE", "value": "redis://:hunter2@cache"}])])


@secrets.passes
def urls_without_a_password(at: str) -> None:
    _function(
        at,
        DATABASE_URL="postgres://app@db.example.com:5432/orders",
        HOMEPAGE="https://example.com:8080/@orders",
        TEMPLATE="postgres://app:${password}@db.example.com/orders",
        PASS_THROUGH="yes",
    )


@secrets.fails("function")
def by_name_whatever_the_value_will_be(at: str) -> None:
    _function(at, api_key=unknown(at))


@secrets.fails("function")
def by_value(at: str) -> None:
    _function(at, USER="AKIA" + "ABCDEFGH" * 2)


@secrets.fails("function")
def a_secret_of_the_stack(at: str) -> None:
    _function(at, TOKEN=pulumi.Output.secret("x"))


@secrets.fails("task")
def in_a_container(at: str) -> None:
    task(f"{at}task", [_container(environment=[{"name": "SECRET_KEY", "value": "x"}])])


@secrets.fails("task")
def a_private_key_in_a_container(at: str) -> None:
    key = {"name": "PEM", "value": "-----BEGIN RSA PRIVATE KEY-----"}
    aws.ecs.TaskDefinition(
        f"{at}task", family="t", container_definitions=json.dumps([_container(environment=[key])])
    )


@secrets.passes
def references(at: str) -> None:
    _function(at, DB_PASSWORD_ARN=unknown(at), TOKENS_TABLE="t", KEYSPACE="k")
    secret = {"name": "DB_PASSWORD", "valueFrom": arn("secret")}
    task(f"{at}task", [_container(secrets=[secret])])


@secrets.undecided("task")
def variables_that_are_not_known_yet(at: str) -> None:
    containers_that_are_not_known_yet(at)


@secrets.not_applicable
def no_environment(at: str) -> None:
    function(f"{at}function")
