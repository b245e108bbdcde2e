import os
import sys
from pathlib import Path

import pytest
import yaml

from local import LocalError
from local.workspace import Document, Workspace, project_file, stack_config

STACK: Document = {"config": {"aws:region": "eu-west-1", "statecast:tasksMin": 4, "image": "x"}}


def config(*overrides: str, stack: Document = STACK) -> Document:
    return stack_config("statecast", "Pulumi.dev.yaml", stack, overrides)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "Pulumi.yaml").write_text(
        "name: statecast\nruntime: {name: python, options: {toolchain: uv}}\n"
    )
    (checkout / "Pulumi.dev.yaml").write_text(yaml.safe_dump(STACK))
    folder = tmp_path / "folder"
    return Workspace(checkout, "dev", folder, folder / "state", Path("pulumi"))


def test_every_key_of_the_stack_file_gets_its_namespace() -> None:
    assert config() == {"aws:region": "eu-west-1", "statecast:tasksMin": 4, "statecast:image": "x"}


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("tasksMin=20", "statecast:tasksMin", 20),
        ("statecast:tasksMin=20", "statecast:tasksMin", 20),
        ("image=a=b", "statecast:image", "a=b"),
        ("variants=[pipe]", "statecast:variants", ["pipe"]),
        ('variants=["lambda", "pipe"]', "statecast:variants", ["lambda", "pipe"]),
        ("aws:region=eu-south-1", "aws:region", "eu-south-1"),
        ("snapStart=false", "statecast:snapStart", False),
        ("noSuchKey=1", "statecast:noSuchKey", 1),
    ],
)
def test_an_override_replaces_or_adds_a_key(override: str, key: str, value: object) -> None:
    assert config(override) == config() | {key: value}


@pytest.mark.parametrize("override", ["tasksMin", "=4", ""])
def test_an_override_that_is_not_a_key_and_a_value_is_refused(override: str) -> None:
    with pytest.raises(LocalError, match=f"--config '{override}' is not key=value, for example"):
        config(override)


def test_an_override_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(LocalError, match=r"--config variants: '\[pipe' is neither YAML nor JSON"):
        config("variants=[pipe")


def test_a_secret_is_refused_unless_it_is_overridden() -> None:
    stack: Document = {"config": {"statecast:alarmEmail": {"secure": "v1:abc"}}, "encryptionsalt": "v1:x"}
    with pytest.raises(
        LocalError, match=r"statecast:alarmEmail in Pulumi\.dev\.yaml is a secret, which cannot be"
    ):
        config(stack=stack)
    assert config("alarmEmail=a@b.c", stack=stack) == {"statecast:alarmEmail": "a@b.c"}


def test_a_stack_file_may_be_empty() -> None:
    assert config(stack={}) == {}


def test_the_project_runs_the_checkouts_program_in_this_virtual_environment(tmp_path: Path) -> None:
    schema = {"tasksMin": {"type": "integer"}}
    project: Document = {
        "name": "statecast",
        "runtime": {"name": "python", "options": {"toolchain": "uv"}},
        "config": schema,
    }
    assert project_file(project, tmp_path, Path("/venv")) == {
        "name": "statecast",
        "main": str(tmp_path),
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": "/venv"}},
        "config": schema,
    }


def test_the_folder_holds_the_project_the_stack_and_an_empty_state(workspace: Workspace) -> None:
    workspace.prepare(["tasksMin=20"])
    assert sorted(path.name for path in workspace.folder.iterdir()) == [
        "Pulumi.dev.yaml",
        "Pulumi.yaml",
        "state",
    ]
    written = yaml.safe_load((workspace.folder / "Pulumi.dev.yaml").read_text())
    assert written == {"config": config("tasksMin=20")}
    project = yaml.safe_load((workspace.folder / "Pulumi.yaml").read_text())
    assert project["main"] == str(workspace.checkout)
    assert project["runtime"]["options"]["virtualenv"] == sys.prefix


def test_nothing_of_the_users_accounts_reaches_what_is_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_STACK",
    ):
        monkeypatch.setenv(name, "the user's")
    workspace.prepare([])
    planning = workspace.environment(None)
    assert "the user's" not in planning.values()
    assert "AWS_ENDPOINT_URL" not in planning
    assert planning["AWS_REGION"] == "eu-west-1"
    # uv may be where `make setup` puts it; one of the user's own comes first.
    setup = workspace.checkout / ".tools" / "bin"
    assert planning["PATH"] == f"{os.environ['PATH']}{os.pathsep}{setup}"
    assert workspace.environment("http://127.0.0.1:1") == planning | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1"
    }


def test_a_stack_without_a_region_is_in_the_default_one(workspace: Workspace) -> None:
    (workspace.checkout / "Pulumi.dev.yaml").write_text("")
    workspace.prepare([])
    assert workspace.environment(None)["AWS_REGION"] == "eu-south-1"
