import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.fleet import await_ready, live_leases
from bench.stack import Stack, find
from tests.engine import CHECKOUT
from tests.local_stack import call, running

pytestmark = [pytest.mark.stack, pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]

BROKEN_CONSUMER = Path(__file__).parent / "broken_consumer.py"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The local stack with two tasks, and slots for the six that two definitions of three make."""
    with running(tmp_path_factory.mktemp("state"), "tasksMin=2", "tasksMax=3"):
        yield find("local")


def faults(folder: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    ended = call("bench", "faults", *options, folder=folder)
    assert "Report: " in ended.stdout, ended.stdout + ended.stderr
    return ended, json.loads((folder / "results/latest/summary.json").read_text())


def deploy(stack: Stack, *command: str) -> None:
    """Have the service's tasks run a command of the container's, by a new task definition."""
    of, ecs = stack.outputs, stack.client("ecs")
    before = {lease.task for lease in live_leases(stack.client("dynamodb"), of.leases_table)}
    (service,) = ecs.describe_services(cluster=of.cluster, services=[of.service])["services"]
    now = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    (container,) = now["containerDefinitions"]
    path = {"name": "PYTHONPATH", "value": str(CHECKOUT / "container")}
    broken = {**container, "command": list(command), "environment": [*container["environment"], path]}
    asked = {name: now[name] for name in ("family", "networkMode", "cpu", "memory")}
    registered = ecs.register_task_definition(**asked, containerDefinitions=[broken])["taskDefinition"]
    ecs.update_service(cluster=of.cluster, service=of.service, taskDefinition=registered["taskDefinitionArn"])
    await_ready(stack, 60, without=before)


def test_a_new_definition_under_writes_loses_nothing_and_no_task_lacks_a_slot(
    stack: Stack, tmp_path: Path
) -> None:
    ended, told = faults(tmp_path, "--seconds", "15", "--fault", "definition swapped")
    assert (told["violations"], told["converged"], told["tasks"]) == ([], True, 2), ended.stdout
    (swapped,) = told["faults"]
    assert (swapped["note"], swapped["problem"]) == ("2 tasks", "")
    assert swapped["recovery_ms"] is not None
    assert "definition swapped: " in (tmp_path / "results/latest/report.html").read_text()


def test_a_consumer_that_forgets_changes_fails_the_run_which_names_them(stack: Stack, tmp_path: Path) -> None:
    deploy(stack, "python", str(BROKEN_CONSUMER))
    ended, told = faults(tmp_path, "--seconds", "9", "--fault", "task restarted", "--patience", "5")
    assert ended.returncode == 1
    assert told["stale"] > 0, "it stays at the first version of each item"
    assert not told["converged"]
    for violation in told["violations"][:5]:
        assert f"{violation['kind']} {violation['id']} version {violation['version']}" in ended.stdout
    assert "acknowledged writes are not accounted for" in ended.stdout
