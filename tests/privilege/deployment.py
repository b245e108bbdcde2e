"""The program's own stack in an emulator that enforces policies, over TLS."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.emulator import Emulator
from local.metadata import MetadataServer
from local.task_definition import read_container
from local.task_process import TaskProcess
from local.workspace import Workspace
from tests.engine import CHECKOUT

REGION = "eu-south-1"
VARIABLES = {
    "AUTH": "true",
    # Else the policies that deny plain HTTP deny everything.
    "USE_SSL": "1",
    # The account's own key, which `Account` has.
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "PYTHONPATH": str(CHECKOUT),
}


@dataclass(frozen=True)
class Deployment:
    """What was deployed, as its owner sees it."""

    workspace: Workspace
    emulator: Emulator
    certificate: Path  # of the emulator, and the only one to trust
    outputs: Mapping[str, Any]  # the stack's
    state: str  # `pulumi stack export`
    metadata: MetadataServer
    _sessions: dict[str, boto3.Session] = field(default_factory=dict)

    @property
    def admin(self) -> boto3.Session:
        """Who may do everything, but for what a resource's own policy denies to all."""
        return boto3.Session("local", "local", region_name=REGION)

    def client(self, service: str, session: boto3.Session | None = None) -> Any:
        return (session or self.admin).client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.emulator.account.endpoint,
            verify=str(self.certificate),
        )

    def made(self, name: str, kind: str) -> Mapping[str, Any]:
        """The id and the outputs of a resource, by its name in the program and the end of its type."""
        (found,) = (each for each in self._resources if each["urn"].endswith(f":{kind}::{name}"))
        return found["outputs"] | {"id": found["id"]}

    def user(self, name: str, statements: Sequence[Mapping[str, Any]]) -> boto3.Session:
        """A new user of the account, who may do what the statements allow."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)

    def exported(self, *arguments: str) -> str:
        """`pulumi stack export`."""
        return _said(self.workspace, "export", *arguments)

    @cached_property
    def _resources(self) -> list[dict[str, Any]]:
        return json.loads(self.state)["deployment"]["resources"]

    @cached_property
    def task(self) -> str:
        """The ARN of a task that runs."""
        return self.client("ecs").list_tasks(cluster=self.outputs["cluster"])["taskArns"][0]

    def run_task(self, session: boto3.Session, output: Path) -> TaskProcess:
        """Start a task's process, as the ECS agent does, with the credentials of a session."""
        ecs = self.client("ecs")
        (task,) = ecs.describe_tasks(cluster=self.outputs["cluster"], tasks=[self.task])["tasks"]
        definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
        credentials = session.get_credentials()
        assert credentials
        environment = self.emulator.account.environment() | {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            **({"AWS_SESSION_TOKEN": credentials.token} if credentials.token else {}),
            "AWS_CA_BUNDLE": str(self.certificate),
            "ECS_CONTAINER_METADATA_URI_V4": self.metadata.add(task, definition),
        }
        process = TaskProcess(
            self.task, None, read_container(definition), environment, CHECKOUT / "container"
        )
        process.start(output)
        return process


@contextmanager
def deployed(pulumi: Path, folder: Path, *settings: str) -> Iterator[Deployment]:
    """The local stack, deployed by the real engine for as long as the block lasts, with more settings."""
    emulator = Emulator(folder, REGION, VARIABLES, "tests.privilege.enforcing")
    certificate = folder / "emulator" / "ministack-tls" / "server.crt"
    workspace = Workspace(CHECKOUT, "local", folder, folder / "state", pulumi)
    workspace.prepare(["tasksMin=1", *settings])
    metadata = MetadataServer()
    metadata.start()
    with pytest.MonkeyPatch.context() as patch:
        # How urllib and the provider's boto3 come to trust the emulator.
        patch.setenv("SSL_CERT_FILE", str(certificate))
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        emulator.start()
        try:
            assert emulator.wait(threading.Event())
            workspace.run("stack", "init")
            workspace.operate(
                "up",
                "--yes",
                "--skip-preview",
                "--suppress-outputs",
                endpoint=emulator.account.endpoint,
                log=folder / "up.log",
            )
            yield Deployment(
                workspace,
                emulator,
                certificate,
                json.loads(_said(workspace, "output", "--json")),
                _said(workspace, "export"),
                metadata,
            )
        finally:
            emulator.stop()
            metadata.stop()


def _said(workspace: Workspace, *arguments: str) -> str:
    said = workspace.folder / "said.json"
    with said.open("wb") as file:
        workspace.run("stack", *arguments, stdout=file)
    return said.read_text()
