import json
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
import pulumi_aws as aws
from tests.policies.cases.parts import Guarded

Guarded("orders")
"""


@pytest.fixture(scope="session")
def blamed(
    pulumi: Path, aws: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, set[str]]:
    """For each rule, the names of the resources that it blames in one preview of every case."""
    program = "from tests.policies.program import build\n\nbuild()\n"
    streaming = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "1"}
    project = Project.make(pulumi, tmp_path_factory.mktemp("cases"), program, aws | streaming)
    preview = project.run("preview", "--json", "--policy-pack", PACK)
    events = [json.loads(line) for line in preview.stdout.splitlines()]
    errors = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
    assert [error["message"] for error in errors if error["severity"] == "error"] == ["preview failed\n"]
    names: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if violation := event.get("policyEvent"):
            assert violation["enforcementLevel"] == "mandatory"
            names[violation["policyName"]].add(violation["resourceUrn"].split("::")[-1])
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.outcome}: {case.build.__name__}")
def test_the_rule_names_exactly_the_resources_of_the_case(case: Case, blamed: Mapping[str, set[str]]) -> None:
    found = {name.removeprefix(case.at) for name in blamed[case.rule] if name.startswith(case.at)}
    assert found == case.violating


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_each_rule_has_cases_that_pass_and_fail_and_do_not_apply(rule: str) -> None:
    cases = [case for case in CASES if case.rule == rule]
    assert {case.outcome for case in cases} == {"passes", "fails", "not applicable"}
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
        "Queue 'orders' has no dead letter queue. Give it a redrive_policy, or an aws.sqs.RedrivePolicy, "
        "whose deadLetterTargetArn is the ARN of a queue with an alarm."
    ) in preview.stdout
    update = bad.run("up", "--yes", "--policy-pack", PACK)
    assert update.returncode != 0
    assert "resources" not in json.loads(bad.run("stack", "export").stdout)["deployment"]


def test_a_stack_whose_queues_are_guarded_is_let_through(
    project: Callable[..., Project], aws: Mapping[str, str]
) -> None:
    preview = project(GOOD, **aws).run("preview", "--policy-pack", PACK)
    assert preview.returncode == 0, preview.stdout
    assert "mandatory" not in preview.stdout


def test_a_rule_that_reads_a_value_which_is_not_known_yet_blocks_and_names_itself(
    project: Callable[..., Project], aws: Mapping[str, str]
) -> None:
    good = project(GOOD, **aws)
    pack = good.folder / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(
        """
from pulumi_policy import EnforcementLevel, PolicyPack, Severity
from policies.rule import stack_rule


@stack_rule(Severity.LOW)
def reads_carelessly(stack):
    '''Every queue has an ARN.'''
    for queue in stack.of_type("aws:sqs/queue:Queue"):
        queue.props["arn"]
    return []


PolicyPack("careless", [reads_carelessly], enforcement_level=EnforcementLevel.MANDATORY)
"""
    )
    preview = good.run("preview", "--policy-pack", pack)
    assert preview.returncode != 0
    assert "Rule reads-carelessly failed and proves nothing: UnknownValueError: " in preview.stdout
    assert "value at .arn can't be known during preview" in preview.stdout
