"""A folder outside the checkout from which the engine runs it: the checkout is never written."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from local import LocalError
from local.emulator import Account
from local.session import ending, start

Document = dict[str, Any]

DEFAULT_REGION = "eu-south-1"


class PulumiError(Exception):
    """The engine ended with `exit_code`, and has told the user why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"pulumi ended with exit code {exit_code}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Workspace:
    """The folder of one stack.

    Args:
        checkout: where the program and its stack files are.
        stack: the stack's name.
        folder: the engine's files and the logs.
        state: where the engine keeps what it has made.
        pulumi: the engine's executable.
    """

    checkout: Path
    stack: str
    folder: Path
    state: Path
    pulumi: Path

    def prepare(self, overrides: Sequence[str]) -> None:
        """Write the project file and the stack file, with `overrides` (`key=value`) on top of the checkout's.

        Raises LocalError when an override or the stack file cannot be used.
        """
        project = read_yaml(self.checkout / "Pulumi.yaml")
        name = f"Pulumi.{self.stack}.yaml"
        config = stack_config(project["name"], name, read_yaml(self.checkout / name), overrides)
        self.state.mkdir(parents=True, exist_ok=True)
        write_yaml(self.folder / "Pulumi.yaml", project_file(project, self.checkout, Path(sys.prefix)))
        write_yaml(self.folder / name, {"config": config})

    def account(self, endpoint: str) -> Account:
        """The emulator's account at `endpoint`, in the region of the stack."""
        config = read_yaml(self.folder / f"Pulumi.{self.stack}.yaml")["config"]
        return Account(endpoint, str(config.get("aws:region", DEFAULT_REGION)))

    def environment(self, endpoint: str | None) -> dict[str, str]:
        """The variables of what runs for the stack: AWS is the emulator, or, without an endpoint, nowhere.

        Nothing of the user's own accounts is passed on.
        """
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
        env = own | self.account(endpoint or "").environment()
        # `make setup` puts uv there, by which the engine finds what the policy pack runs on.
        env["PATH"] = os.pathsep.join((env.get("PATH", os.defpath), str(self.checkout / ".tools" / "bin")))
        if endpoint is None:
            del env["AWS_ENDPOINT_URL"]
        return env

    def operate(self, *arguments: str | Path, endpoint: str | None, log: Path | None = None) -> None:
        """Run an operation of the engine with our provider attached; without an endpoint it can only plan.

        What the engine says goes to `log`, if there is one, and to the user only when it fails.
        Raises PulumiError.
        """
        env = self.environment(endpoint)
        with ExitStack() as stack:
            port = stack.enter_context(provider(self.checkout, env, self.folder / "provider.log"))
            said = stack.enter_context(log.open("wb")) if log else None
            try:
                self.run(
                    *arguments,
                    env=env | {"PULUMI_DEBUG_PROVIDERS": f"aws:{port},docker-build:{port}"},
                    stdout=said,
                )
            except PulumiError:
                if log:
                    sys.stdout.write(log.read_text(errors="replace"))
                raise

    def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] | None = None,
    ) -> None:
        """Run a command of the engine on the stack.

        Raises PulumiError.
        """
        settings = {
            "PULUMI_BACKEND_URL": self.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "",
            # Otherwise it tries to download the official provider at each command, although ours is attached.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_SKIP_CHECKPOINTS": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        process = start(
            [self.pulumi, *arguments, "--stack", self.stack, "--non-interactive"],
            cwd=self.folder,
            env={**(env or self.environment(None)), **settings},
            stdout=stdout,
        )
        with ending(process, by=signal.SIGINT):
            exit_code = process.wait()
        if exit_code != 0:
            raise PulumiError(exit_code)


@contextmanager
def provider(checkout: Path, env: Mapping[str, str], log: Path) -> Iterator[int]:
    """Our provider, for as long as the block lasts; gives its port.

    It runs in the checkout, since the paths of archives reach it as the program wrote them.
    """
    command = [sys.executable, "-m", "local.provider"]
    with log.open("ab") as stderr:
        process = start(command, cwd=checkout, env=env, stdout=subprocess.PIPE, stderr=stderr)
    with ending(process, by=signal.SIGTERM):
        assert process.stdout
        port = process.stdout.readline()
        if not port:
            raise LocalError(f"The provider did not start:\n{tail(log)}")
        yield int(port)


def project_file(project: Document, checkout: Path, virtualenv: Path) -> Document:
    """The checkout's Pulumi.yaml for another folder: the same program, in this virtual environment."""
    # The uv toolchain would look for the lock file beside this file.
    return project | {
        "main": str(checkout / project.get("main", ".")),
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(virtualenv)}},
    }


def stack_config(project: str, name: str, stack: Document, overrides: Sequence[str]) -> Document:
    """The configuration in the stack file `name` with `overrides` on top, every key with its namespace.

    The rest of the file is left out: its secrets provider belongs to the real stack. Raises LocalError.
    """
    config = {qualified(project, key): value for key, value in (stack.get("config") or {}).items()}
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise LocalError(f"--config {override!r} is not key=value, for example --config tasksMin=20.")
        try:
            config[qualified(project, key)] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise LocalError(
                f"--config {key}: {value!r} is neither YAML nor JSON ({error.__class__.__name__})."
            ) from error
    for key, value in config.items():
        if isinstance(value, dict) and "secure" in value:
            raise LocalError(
                f"{key} in {name} is a secret, which cannot be read here; give --config {key}=VALUE."
            )
    return config


def qualified(project: str, key: str) -> str:
    """A configuration key with its namespace, which is the project's unless it names another."""
    return key if ":" in key else f"{project}:{key}"


def read_yaml(path: Path) -> Document:
    """The document in `path`; an empty file is an empty document."""
    try:
        return yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise LocalError(f"{path} is not YAML: {error}") from error


def write_yaml(path: Path, document: Document) -> None:
    """Write `document` with its keys in their order."""
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def tail(log: Path, lines: int = 10) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
