"""What is nobody's business stands neither in the stack's state nor in a log."""

import json
import time
from collections.abc import Mapping
from typing import Any

import boto3
import pytest

from local.task_process import get
from tests.emulation import eventually
from tests.privilege.conftest import EMAIL
from tests.privilege.deployment import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.emulator]

VALUE = "classified-51c2e8"


@pytest.fixture(scope="module")
def owner(deployment: Deployment) -> boto3.Session:
    """Whose key the task has. That of the emulator itself is a word like any other."""
    return deployment.user("owner", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])


@pytest.fixture(scope="module")
def secrets(owner: boto3.Session) -> Mapping[str, str]:
    credentials: Any = owner.get_credentials()
    return {
        "the address of who is told of alarms": EMAIL,
        "the value of an item": VALUE,
        "a task's key": credentials.secret_key,
    }


@pytest.fixture(scope="module")
def logs(
    deployment: Deployment, owner: boto3.Session, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Whatever a deployment and a change, on its way from the writer to a task, have logged."""
    folder = tmp_path_factory.mktemp("logs")
    task = deployment.run_task(owner, folder / "task.log")
    try:
        eventually(lambda: task.look() or task.row()["status"] == "ready")
        deployment.client("dynamodb").update_item(
            TableName=deployment.outputs["table"],
            Key={"id": {"S": "item"}},
            UpdateExpression="SET version = :now, writtenAt = :now, #value = :value",
            ExpressionAttributeNames={"#value": "value"},
            ExpressionAttributeValues={":now": {"N": str(int(time.time() * 1000))}, ":value": {"S": VALUE}},
        )
        eventually(lambda: VALUE in (get(f"{task.row()['url']}/state/items") or b"").decode())
        events = deployment.client("logs")
        function = deployment.made("statecast-lambda-logs", "LogGroup")["name"]
        eventually(lambda: events.filter_log_events(logGroupName=function)["events"])
    finally:
        task.stop()
        eventually(task.has_ended)
    groups = [group["logGroupName"] for group in events.describe_log_groups()["logGroups"]]
    told = {group: json.dumps(events.filter_log_events(logGroupName=group)["events"]) for group in groups}
    files = [folder / "task.log", *deployment.workspace.folder.glob("*.log")]
    # The emulator is no part of the product: it logs what AWS would not.
    return told | {path.name: path.read_text() for path in files if path.name != "emulator.log"}


def leaks(secrets: Mapping[str, str], texts: Mapping[str, str]) -> list[str]:
    return [
        f"{what} in {where}"
        for where, text in texts.items()
        for what, secret in secrets.items()
        if secret in text
    ]


def test_a_leak_is_found() -> None:
    assert leaks({"a key": "hidden"}, {"a log": "a hidden thing", "another": "nothing"}) == ["a key in a log"]


def test_the_state_holds_no_secret_in_plain_text(deployment: Deployment, secrets: Mapping[str, str]) -> None:
    assert leaks(secrets, {"the state": deployment.state}) == []
    shown = deployment.exported("--show-secrets")
    assert leaks(secrets, {"the state, decrypted": shown}) == [
        "the address of who is told of alarms in the state, decrypted"
    ], "it is there, so it would have been found"


def test_no_log_holds_a_secret(logs: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    assert {"task.log", "up.log", "provider.log"} <= logs.keys()
    assert '"outcome":"applied"' in logs["task.log"].replace(" ", "")
    assert "statecast-alarms-email" in logs["up.log"], "the subscription was made"
    assert leaks(secrets, logs) == []
