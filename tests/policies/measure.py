"""`python -m tests.policies.measure 1000 5000`: seconds of a preview, under an empty pack and under this.

How a preview grows with the stack is the engine's and the program's: so besides, how long the rules that look
at a whole stack take alone, seconds of CPU.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from local import engine
from tests.engine import CHECKOUT, Project
from tests.policies.conftest import provider
from tests.policies.test_policy_values import RULES, blamed, deployed

EMPTY = """
from pulumi_policy import PolicyPack, ResourceValidationPolicy

PolicyPack("empty", [ResourceValidationPolicy("nothing", "Nothing.", lambda args, report: None)])
"""
# A slot is eight resources: two queues, their policies, an alarm, a subscription and two components.
PROGRAM = """
from components.alarm_topic import AlarmTopic, AlarmTopicArgs
from components.task_slots import TaskSlots, TaskSlotsArgs

topic = AlarmTopic("alarms", AlarmTopicArgs(email="")).arn
seconds = {{"retention_seconds": 600, "visibility_timeout_seconds": 30, "max_receives": 5}}
TaskSlots("slot", TaskSlotsArgs(count={count} // 8, topic_arn=topic, alarm_topic_arn=topic, **seconds))
"""


def main() -> None:
    console = Console()
    found = engine.find(console)
    with tempfile.TemporaryDirectory() as temporary, provider({}) as environment:
        folder = Path(temporary)
        (folder / "engine").mkdir()
        pulumi = engine.Engine(found.pulumi, has_language_host=False).install(folder / "engine", CHECKOUT)
        empty = folder / "empty"
        empty.mkdir()
        (empty / "PulumiPolicy.yaml").write_text("runtime: python\n")
        (empty / "__main__.py").write_text(EMPTY)
        for count in map(int, sys.argv[1:]):
            (folder / str(count)).mkdir()
            project = Project.make(pulumi, folder / str(count), PROGRAM.format(count=count), environment)
            empty_pack, this = (preview(project, pack) for pack in (empty, CHECKOUT / "policies"))
            console.print(f"{count}: {empty_pack:.1f} s, {this:.1f} s: {this / empty_pack:.2f} times as long")
            console.print(f"{count}: the rules alone {alone(count):.2f} s")


def preview(project: Project, pack: Path) -> float:
    began = time.monotonic()
    done: subprocess.CompletedProcess[str] = project.run("preview", "--policy-pack", pack)
    assert done.returncode == 0, done.stdout
    return time.monotonic() - began


def alone(count: int) -> float:
    each = len(deployed(0))
    resources = [one for number in range(count // each) for one in deployed(number)]
    began = time.process_time()
    for rule in RULES:
        assert not blamed(rule, resources)
    return time.process_time() - began


if __name__ == "__main__":
    main()
