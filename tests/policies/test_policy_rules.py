import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from policies.rules import RULES
from tests.engine import CHECKOUT, Project
from tests.policies.case import Case
from tests.policies.program import CASES

pytestmark = pytest.mark.engine

PACK = CHECKOUT / "policies"

BAD = """
import pulumi_aws as aws

aws.sqs.Queue("orders")
"""

GOOD = """
from components.alarm_topic import AlarmTopic, AlarmTopicArgs
from components.guarded_queue import GuardedQueue, GuardedQueueArgs

topic = AlarmTopic("alarms", AlarmTopicArgs(email=""))
GuardedQueue(
    "orders",
    GuardedQueueArgs(
        topic_arn=topic.arn,
        alarm_topic_arn=topic.arn,
        retention_seconds=600,
        visibility_timeout_seconds=30,
        max_receives=5,
    ),
)
"""

Named = Mapping[str, set[str]]
"""For each rule, the names of resources."""


@pytest.fixture(scope="session")
def preview_of_all_cases(
    pulumi: Path, aws: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Named, Named]:
    """What each rule blames in one preview of every case, and what it cannot decide about."""
    program = "from tests.policies.program import build\n\nbuild()\n"
    streaming = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "1"}
    folder = tmp_path_factory.mktemp("cases")
    project = Project.make(pulumi, folder, program, aws | streaming)
    config = folder / "config.json"
    config.write_text(json.dumps({"undecided": {"names": 1000}}))
    preview = project.run("preview", "--json", "--policy-pack", PACK, "--policy-pack-config", config)
    events = [json.loads(line) for line in preview.stdout.splitlines()]
    errors = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
    assert [error["message"] for error in errors if error["severity"] == "error"] == ["preview failed\n"]
    blamed: dict[str, set[str]] = defaultdict(set)
    undecided: dict[str, set[str]] = defaultdict(set)
    for violation in (event["policyEvent"] for event in events if "policyEvent" in event):
        if violation["policyName"] == "undecided":
            assert violation["enforcementLevel"] == "advisory"
            told = re.search(r": ([^:]+) \((.+)\)$", violation["message"].strip())
            assert told, violation["message"]
            for rule in told[2].split(", "):
                undecided[rule].update(told[1].split(", "))
        else:
            assert violation["enforcementLevel"] == "mandatory"
            blamed[violation["policyName"]].add(violation["resourceUrn"].split("::")[-1])
    return blamed, undecided


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.outcome}: {case.build.__name__}")
def test_the_rule_names_exactly_the_resources_of_the_case(
    case: Case, preview_of_all_cases: tuple[Named, Named]
) -> None:
    blamed, undecided = (
        {name.removeprefix(case.at) for name in names[case.rule] if name.startswith(case.at)}
        for names in preview_of_all_cases
    )
    assert blamed == (case.named if case.outcome == "fails" else set())
    assert undecided == (case.named if case.outcome == "undecided" else set())


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_each_rule_has_cases_that_pass_and_fail_and_do_not_apply(rule: str) -> None:
    cases = [case for case in CASES if case.rule == rule]
    assert {case.outcome for case in cases} >= {"passes", "fails", "not applicable"}
    assert len({case.at for case in cases}) == len(cases)


def test_a_stack_with_one_bad_queue_is_refused_and_nothing_of_it_is_made(
    project: Callable[..., Project], aws: Mapping[str, str]
) -> None:
    bad = project(BAD, **aws)
    preview = bad.run("preview", "--policy-pack", PACK)
    assert preview.returncode != 0
    assert "[mandatory]" in preview.stdout
    assert "queue-has-dlq" in preview.stdout
    assert (
        "'orders': give it a redrive_policy, or an aws.sqs.RedrivePolicy, whose deadLetterTargetArn is the "
        "ARN of a queue with an alarm."
    ) in preview.stdout
    update = bad.run("up", "--yes", "--policy-pack", PACK)
    assert update.returncode != 0
    assert "resources" not in json.loads(bad.run("stack", "export").stdout)["deployment"]


def test_a_stack_without_faults_is_let_through(
    project: Callable[..., Project], aws: Mapping[str, str]
) -> None:
    preview = project(GOOD, **aws).run("preview", "--policy-pack", PACK)
    assert preview.returncode == 0, preview.stdout
    assert "mandatory" not in preview.stdout


def test_the_pack_is_usable_alone(
    project: Callable[..., Project], aws: Mapping[str, str], tmp_path: Path
) -> None:
    """A copy of the folder, on plain resources, where nothing else of this project can be imported."""
    pack = tmp_path / "elsewhere" / "policies"
    shutil.copytree(PACK, pack, ignore=shutil.ignore_patterns("__pycache__"))
    preview = project(BAD, **{**aws, "PYTHONPATH": ""}).run("preview", "--policy-pack", pack)
    assert preview.returncode != 0
    assert "'orders': give it a redrive_policy" in preview.stdout
    assert "failed and proves nothing" not in preview.stdout


def test_a_rule_that_fails_for_whatever_reason_blocks_and_names_itself(
    project: Callable[..., Project], aws: Mapping[str, str]
) -> None:
    good = project(GOOD, **aws)
    pack = good.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(
        """
from pulumi_policy import EnforcementLevel, PolicyPack, Severity
from policies.rule import policies, rule


@rule(Severity.LOW, "aws:sqs/queue:Queue")
def reads_carelessly(queue, stack):
    '''Every queue has an ARN.'''
    yield queue.props["arn"]


@rule(Severity.LOW, "aws:sqs/queue:Queue")
def reckons_carelessly(queue):
    '''Every queue has a name.'''
    yield 1 / 0


RULES = [reads_carelessly, reckons_carelessly]
PolicyPack("careless", policies(RULES), enforcement_level=EnforcementLevel.MANDATORY)
"""
    )
    preview = good.run("preview", "--policy-pack", pack)
    assert preview.returncode != 0
    assert "Rule reads-carelessly failed and proves nothing: UnknownValueError: " in preview.stdout
    assert "value at .arn can't be known during preview" in preview.stdout
    assert "Rule reckons-carelessly failed and proves nothing: ZeroDivisionError: " in preview.stdout
