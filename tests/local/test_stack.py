"""The command line on a trial checkout: real engine, real emulator, real signals."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from local.session import end

CHECKOUT = Path(__file__).parents[2]

pytestmark = [pytest.mark.engine, pytest.mark.emulator, pytest.mark.usefixtures("pulumi")]

PROGRAM = """
import pathlib, time
import pulumi

config = pulumi.Config()
for name in config.get_object("waitFor", []):
    pathlib.Path(name + ".started").touch()
    while not pathlib.Path(name).exists():
        time.sleep(0.05)
pulumi.export("size", config.require_int("size"))
pulumi.export("colours", config.get_object("colours"))
"""
POLICIES = """
import pathlib

from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

def refuse(stack, report):
    if (pathlib.Path(__file__).parent / "refuse").exists():
        report("refused by the pack")

PolicyPack(
    "trial",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[StackValidationPolicy("refuse", "Refuses while there is a file.", refuse)],
)
"""


@dataclass(frozen=True)
class Trial:
    """A checkout with `local/`, a program of its own and one policy; its scratch folders are in `state`."""

    folder: Path
    state: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "local", *arguments],
            cwd=self.folder,
            env=os.environ | {"XDG_STATE_HOME": str(self.state), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def processes(self) -> list[str]:
        """The command lines of what runs for this checkout, by where it works or what it was told."""
        found: list[str] = []
        for process in psutil.process_iter():
            try:
                told = [process.cwd(), *process.cmdline(), *process.environ().values()]
            except psutil.Error:
                continue
            if process.pid != os.getpid() and any(str(self.folder.parent) in text for text in told):
                found.append(" ".join(process.cmdline()))
        return found

    def files(self) -> dict[str, str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    folder = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "local", folder / "local", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "policies").mkdir()
    contents = {
        "Pulumi.yaml": "name: trial\nruntime: {name: python, options: {toolchain: uv, virtualenv: .venv}}\n",
        "Pulumi.local.yaml": "config: {'trial:size': 3, 'trial:colours': [red]}\n",
        "__main__.py": PROGRAM,
        "policies/PulumiPolicy.yaml": "runtime: python\n",
        "policies/__main__.py": POLICIES,
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    made = Trial(folder, tmp_path / "state")
    yield made
    left = made.processes()
    if left:
        made.run("down")
    assert left == []


def wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.05)


def test_a_stack_goes_up_answers_status_and_goes_down_without_a_trace(trial: Trial) -> None:
    before = trial.files()

    up = trial.run("up", "--config", "size=5", "--config", 'colours=["blue", "green"]')
    assert up.returncode == 0, up.stderr
    status = json.loads(trial.run("status", "--json").stdout)
    assert status.keys() == {"endpoint", "stack", "outputs", "tasks"}
    assert status["stack"] == "local"
    assert status["outputs"] == {"size": 5, "colours": ["blue", "green"]}
    assert status["tasks"] == []
    assert f"Stack local is up at {status['endpoint']}\n" in up.stdout

    again = trial.run("up")
    assert again.returncode == 1
    assert again.stdout == ""
    assert again.stderr == (
        f"error: Stack local is up already, at {status['endpoint']}; "
        "to change it, take it down first: python -m local down --stack local\n"
    )
    assert json.loads(trial.run("status", "--json").stdout) == status

    unchanged = trial.run("preview", "--config", "size=5", "--config", "colours=[blue, green]")
    assert unchanged.returncode == 0, unchanged.stdout
    assert "1 unchanged" in unchanged.stdout
    changed = trial.run("preview", "--config", "size=6", "--config", "colours=[blue, green]")
    assert "~ size   : 5 => 6" in changed.stdout

    down = trial.run("down")
    assert down.returncode == 0, down.stderr
    assert trial.processes() == []
    assert trial.files() == before
    assert [path.name for path in trial.state.rglob("*") if path.is_file()] == ["local.lock"]

    gone = trial.run("status", "--json")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == ("error: Stack local is not up; python -m local up --stack local brings it up.\n")
    nothing = trial.run("down")
    assert (nothing.returncode, nothing.stderr) == (0, "Stack local is not up.\n")


def test_a_preview_plans_under_the_policy_pack_and_leaves_nothing(trial: Trial) -> None:
    before = trial.files()
    planned = trial.run("preview")
    assert planned.returncode == 0, planned.stdout
    assert "+ 1 to create" in planned.stdout
    assert "trial@v0.0.1" in planned.stdout
    assert trial.files() == before

    (trial.folder / "policies" / "refuse").touch()
    refused = trial.run("preview")
    assert refused.returncode == 1
    assert "refused by the pack" in refused.stdout
    assert [path for path in trial.state.rglob("*") if path.is_file()] == []


def test_an_unknown_stack_is_one_line_that_names_those_there_are(trial: Trial) -> None:
    for name in ("dev", "..", "", "local/.."):
        unknown = trial.run("down", "--stack", name)
        assert unknown.returncode == 1
        assert unknown.stderr == f"error: There is no stack {name!r}; the stacks are: local.\n"


def test_a_program_that_fails_is_shown_as_the_engine_shows_it_and_leaves_no_process(trial: Trial) -> None:
    failed = trial.run("up", "--config", "size=many")
    assert failed.returncode == 1
    assert "Configuration 'trial:size' value 'many' is not a valid 'int'" in failed.stdout
    assert "Traceback" not in failed.stderr
    [folder] = trial.state.glob("statecast/*/local")
    assert f"Stack local is not up; the logs are in {folder}\n" in failed.stderr
    assert trial.processes() == []


@pytest.mark.parametrize(("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_during_up_ends_all_that_was_started(
    trial: Trial, number: signal.Signals, to_group: bool
) -> None:
    process = trial.start("up", "--config", "waitFor=[never]")
    wait_for((trial.folder / "never.started").exists)
    other = trial.run("down")
    assert (other.returncode, other.stderr) == (
        1,
        "error: Another `up` or `down` of stack local is at work; wait for it.\n",
    )
    assert trial.run("status").stderr.startswith("error: Stack local is still coming up; ")
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, stderr = process.communicate()
    assert process.returncode == 128 + number
    assert "interrupted: ending what was started" in stderr
    assert "Traceback" not in stderr
    assert trial.processes() == []


def test_a_signal_before_the_emulator_answers_ends_it(trial: Trial) -> None:
    process = trial.start("up")
    wait_for(lambda: any("ministack" in command for command in trial.processes()))
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert trial.processes() == []


def test_an_engine_that_is_killed_during_up_leaves_no_process(trial: Trial) -> None:
    process = trial.start("up", "--config", "waitFor=[never]")
    wait_for((trial.folder / "never.started").exists)
    for child in psutil.Process(process.pid).children():
        if child.name() == "pulumi":
            child.kill()
    process.communicate()
    assert process.returncode != 0
    assert trial.processes() == []


def test_an_up_after_one_that_was_killed_before_the_emulator_answered_leaves_one_emulator(
    trial: Trial,
) -> None:
    process = trial.start("up")
    wait_for(lambda: any("ministack" in command for command in trial.processes()))
    process.kill()
    process.communicate()
    up = trial.run("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert len([command for command in trial.processes() if "local.supervisor" in command]) == 1
    assert len([command for command in trial.processes() if command.endswith("-m ministack")]) == 1
    assert trial.run("down").returncode == 0
    assert trial.processes() == []


def test_a_stack_whose_up_was_killed_can_be_taken_down(trial: Trial) -> None:
    process = trial.start("up", "--config", "waitFor=[never]")
    wait_for((trial.folder / "never.started").exists)
    started = psutil.Process(process.pid).children()
    process.kill()
    for child in started:
        if "local.supervisor" not in child.cmdline():
            end(child.pid, signal.SIGKILL)
    process.communicate()
    down = trial.run("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert trial.processes() == []


def test_a_stack_whose_emulator_has_ended_is_not_up_and_can_be_taken_down(trial: Trial) -> None:
    assert trial.run("up").returncode == 0
    [record] = trial.state.glob("statecast/*/local/supervisor.json")
    supervisor = psutil.Process(json.loads(record.read_text())["pid"])
    supervisor.terminate()
    wait_for(lambda: not supervisor.is_running())
    assert trial.run("status").returncode == 1
    down = trial.run("down")
    assert down.returncode == 0
    assert down.stderr == "The emulator of stack local has ended already; its folder is removed.\n"


@pytest.mark.parametrize("command", ["down", "up"])
def test_what_a_killed_supervisor_left_is_ended(trial: Trial, command: str) -> None:
    assert trial.run("up").returncode == 0
    [record] = trial.state.glob("statecast/*/local/supervisor.json")
    supervisor = psutil.Process(json.loads(record.read_text())["pid"])
    supervisor.kill()
    wait_for(lambda: not supervisor.is_running())
    assert any("ministack" in left for left in trial.processes())

    assert trial.run(command).returncode == 0
    assert len([left for left in trial.processes() if left.endswith("-m ministack")]) == (command == "up")
    assert trial.run("down").returncode == 0
    assert trial.processes() == []
