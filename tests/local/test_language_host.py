import signal
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest

from tests.engine import Project

pytestmark = pytest.mark.engine

Make = Callable[..., Project]

SLEEPER = """
import pathlib, time
pathlib.Path("started").touch()
time.sleep(600)
"""


def test_a_program_previews_with_its_configuration_and_its_output_reaches_the_user(project: Make) -> None:
    trivial = project(
        """
import sys
import pulumi

print("on stdout")
print("on stderr", file=sys.stderr)
pulumi.ComponentResource("a:b:C", "piece")
config = pulumi.Config()
pulumi.export("greeting", config.require("greeting"))
pulumi.export("secret", config.require_secret("password"))
pulumi.export("where", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
"""
    )
    assert trivial.run("config", "set", "greeting", "good morning").returncode == 0
    assert trivial.run("config", "set", "--secret", "password", "hush").returncode == 0
    preview = trivial.run("preview", "--diff")
    assert preview.returncode == 0, preview.stdout
    assert "on stdout" in preview.stdout
    assert "on stderr" in preview.stdout
    assert 'greeting: "good morning"' in preview.stdout
    assert "secret  : [secret]" in preview.stdout
    assert "hush" not in preview.stdout
    assert '[0]: "scratch"' in preview.stdout
    assert '[1]: "test"' in preview.stdout
    assert "warning" not in preview.stdout


def test_a_run_error_is_one_line_without_a_traceback(project: Make) -> None:
    refused = project("import pulumi\nraise pulumi.RunError('tasksMin: 0 given, 1 to 100 allowed')").run(
        "preview"
    )
    assert refused.returncode != 0
    assert refused.stdout.count("error: ") == 2  # once as it happens, once in the summary
    assert refused.stdout.count("tasksMin: 0 given, 1 to 100 allowed") == 2
    assert "Traceback" not in refused.stdout


def test_an_exception_shows_its_traceback_once_from_the_program_on(project: Make) -> None:
    failed = project("def piece():\n    raise ValueError('boom')\n\npiece()\n").run("preview")
    assert failed.returncode != 0
    assert failed.stdout.count("Traceback") == 1
    assert failed.stdout.count("ValueError: boom") == 1
    assert failed.stdout.count("__main__.py") == 2
    assert "runpy" not in failed.stdout


def test_the_exit_code_of_a_program_that_leaves_by_itself_is_named(project: Make) -> None:
    left = project("import sys\nsys.exit(3)").run("preview")
    assert left.returncode != 0
    assert "the program ended with exit code 3" in left.stdout


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_an_engine_that_is_interrupted_or_killed(
    project: Make, ending: signal.Signals
) -> None:
    sleeping = project(SLEEPER)
    engine = subprocess.Popen(
        sleeping.command("preview"),
        cwd=sleeping.folder,
        env=sleeping.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (sleeping.folder / "started").exists():
        assert engine.poll() is None
        time.sleep(0.05)
    processes = psutil.Process(engine.pid).children(recursive=True)
    assert len(processes) == 2, "the language host and the program"
    engine.send_signal(ending)
    output, _ = engine.communicate()
    assert engine.returncode in (1, -signal.SIGKILL)
    assert psutil.wait_procs(processes, timeout=20)[1] == []
    assert "Traceback" not in output


def test_a_policy_pack_runs_and_what_it_writes_reaches_the_user(project: Make) -> None:
    trivial = project("import pulumi\npulumi.ComponentResource('a:b:C', 'piece')")
    pack = trivial.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(
        """
import sys
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

print("the pack starts", file=sys.stderr)

def validate(args, report):
    for resource in args.resources:
        if resource.name == "piece":
            report("Seen.", resource.urn)


mandatory = EnforcementLevel.MANDATORY
PolicyPack("pack", [StackValidationPolicy("no-piece", "No pieces.", validate, enforcement_level=mandatory)])
"""
    )
    preview = trivial.run("preview", "--policy-pack", pack)
    assert preview.returncode != 0
    assert "the pack starts" in preview.stdout
    assert "[mandatory]" in preview.stdout
    assert "no-piece" in preview.stdout


def test_a_policy_pack_that_cannot_start_says_why(project: Make) -> None:
    trivial = project("")
    pack = trivial.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text("raise SystemExit('no rules here')")
    preview = trivial.run("preview", "--policy-pack", pack)
    assert preview.returncode != 0
    assert "no rules here" in preview.stdout
