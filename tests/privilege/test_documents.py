"""What the emulator does not enforce is decided here, on the documents of the stacks that go to AWS.

A linter knows AWS's actions, their resources and their condition keys. Conditions are decided by the
emulator's evaluator, which is given the context that AWS documents.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
from parliament import analyze_policy_string

from tests.privilege.calls import CALLS, REFUSED
from tests.privilege.page import PAGE, page
from tests.privilege.principals import PRINCIPALS, writer
from tests.privilege.stacks import ARNS, ROLE_POLICY, TABLE, evaluated
from tests.program.conftest import ACCOUNT, REGION, Evaluation

STACKS = ("dev", "lambda", "pipe", "poll", "bus", "handoff", "local")
ROLE, KEY = "aws:iam/role:Role", "aws:kms/key:Key"
QUEUE_POLICY, TOPIC_POLICY = "aws:sqs/queuePolicy:QueuePolicy", "aws:sns/topicPolicy:TopicPolicy"
CHANGES, OTHER = (f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}" for name in ("statecast-changes", "other"))


@pytest.fixture(scope="module")
def stacks() -> Mapping[str, Evaluation]:
    return {stack: evaluated(stack) for stack in STACKS}


@pytest.fixture
def dev(stacks: Mapping[str, Evaluation]) -> Evaluation:
    return stacks["dev"]


def decide(document: str, action: str, resource: str, service: str = "", **context: Any) -> str:
    """Allow, Deny or ImplicitDeny, over TLS; a key of the context has `_` for `:`."""
    statements = json.loads(document)["Statement"]
    if service:
        statements = [each for each in statements if each["Principal"] in ("*", {"Service": service})]
    asked = EvalContext(
        principal_arn=f"arn:aws:iam::{ACCOUNT}:role/any",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        secure_transport=True,
        service_context={key.replace("_", ":"): value for key, value in context.items()},
    )
    return evaluate(asked, [parse_policy_document({"Statement": statements})]).decision


@pytest.mark.parametrize("stack", STACKS)
def test_what_statements_name_exists_and_goes_together(stacks: Mapping[str, Evaluation], stack: str) -> None:
    documents = {
        made.name: made.inputs["policy"]
        for kind in (ROLE_POLICY, QUEUE_POLICY, TOPIC_POLICY)
        for made in stacks[stack].of(kind)
    }
    findings = {name: analyze_policy_string(document).findings for name, document in documents.items()}
    assert len(documents) >= 3
    assert {name: [str(each) for each in found] for name, found in findings.items() if found} == {}


@pytest.mark.parametrize(
    ("action", "resource", "key", "issue"),
    [
        ("sqs:RecieveMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:a", "aws:SourceArn", "UNKNOWN_ACTION"),
        ("dynamodb:Scan", f"arn:aws:sqs:{REGION}:{ACCOUNT}:a", "aws:SourceArn", "RESOURCE_MISMATCH"),
        ("sns:Publish", CHANGES, "dynamodb:LeadingKeys", "UNKNOWN_CONDITION_FOR_ACTION"),
        ("dynamodb:UpdateItem", TABLE, "dynamodb:LeadingKey", "UNKNOWN_CONDITION_FOR_ACTION"),
    ],
)
def test_the_linter_tells_what_is_wrong(action: str, resource: str, key: str, issue: str) -> None:
    statement = {
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
        "Condition": {"StringLike": {key: "a"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert issue in [each.issue for each in analyze_policy_string(document).findings]


@pytest.mark.parametrize(
    ("keys", "decision"),
    [
        (["statecast:watermark:0"], "Allow"),
        (["statecast:watermark:15"], "Allow"),
        (["a"], "ImplicitDeny"),
        (["statecast:other"], "ImplicitDeny"),
        (["statecast:watermark:0", "a"], "ImplicitDeny"),
    ],
)
def test_a_task_updates_no_item_but_watermarks(dev: Evaluation, keys: list[str], decision: str) -> None:
    """`dynamodb:LeadingKeys`, which the emulator does not know."""
    policy = dev[ROLE_POLICY, "statecast-tasks-role-policy"].inputs["policy"]
    assert decide(policy, "dynamodb:UpdateItem", TABLE, dynamodb_leadingkeys=keys) == decision


@pytest.mark.parametrize(
    ("keys", "decision"), [(["a"], "Allow"), (["statecast:watermark:0"], "ImplicitDeny")]
)
def test_a_writer_updates_no_watermark(keys: list[str], decision: str) -> None:
    policy = json.dumps({"Statement": writer(TABLE)})
    assert decide(policy, "dynamodb:UpdateItem", TABLE, dynamodb_leadingkeys=keys) == decision
    assert decide(policy, "dynamodb:DeleteItem", TABLE, dynamodb_leadingkeys=keys) == decision


@pytest.mark.parametrize("stack", STACKS)
def test_a_role_is_for_one_service_on_this_account_s_behalf(
    stacks: Mapping[str, Evaluation], stack: str
) -> None:
    roles = stacks[stack].of(ROLE)
    assert roles
    for role in roles:
        document = role.inputs["assumeRolePolicy"]
        ((service,),) = (list(each["Principal"].values()) for each in json.loads(document)["Statement"])
        assert assumable(document, service, ACCOUNT), role.name
        assert not assumable(document, service, "999999999999"), role.name
        assert not assumable(document, "ec2.amazonaws.com", ACCOUNT), role.name
        assert decide(document, "sts:AssumeRole", "", service) == "ImplicitDeny", role.name
        if service == "pipes.amazonaws.com":
            other = f"arn:aws:pipes:{REGION}:{ACCOUNT}:pipe/other-1a2b3c4"
            given = {"aws_sourceaccount": ACCOUNT, "aws_sourcearn": other}
            assert decide(document, "sts:AssumeRole", "", service, **given) == "ImplicitDeny", role.name


def assumable(document: str, service: str, account: str) -> bool:
    """Whether a service may assume a role on behalf of an account, for a pipe or rule of that name."""
    sources = (
        f"arn:aws:pipes:{REGION}:{account}:pipe/statecast-pipe-1a2b3c4",
        f"arn:aws:pipes:{REGION}:{account}:pipe/statecast-bus-1a2b3c4",
        f"arn:aws:events:{REGION}:{account}:rule/statecast-bus-rule",
    )
    asked = ("sts:AssumeRole", "", service)
    return "Allow" in {
        decide(document, *asked, aws_sourceaccount=account, aws_sourcearn=source) for source in sources
    }


@pytest.mark.parametrize("name", ["statecast-slot-00", "statecast-slot-00-dlq"])
def test_a_slot_s_queues_take_messages_from_the_one_topic(dev: Evaluation, name: str) -> None:
    policy, queue = (
        dev[QUEUE_POLICY, f"{name}-policy"].inputs["policy"],
        f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
    )
    sns = ("sqs:SendMessage", queue, "sns.amazonaws.com")
    assert decide(policy, *sns, aws_sourcearn=CHANGES) == "Allow"
    assert decide(policy, *sns, aws_sourcearn=OTHER) == "ImplicitDeny"
    assert decide(policy, *sns) == "ImplicitDeny"
    assert (
        decide(policy, "sqs:SendMessage", queue, "events.amazonaws.com", aws_sourcearn=CHANGES)
        == "ImplicitDeny"
    )
    assert (
        decide(policy, "sqs:ReceiveMessage", queue, "sns.amazonaws.com", aws_sourcearn=CHANGES)
        == "ImplicitDeny"
    )


def test_alarms_are_told_by_this_account_s_alarms(dev: Evaluation) -> None:
    policy, topic = (
        dev[TOPIC_POLICY, "statecast-alarms-policy"].inputs["policy"],
        OTHER.replace("other", "statecast-alarms"),
    )
    alarm = ("sns:Publish", topic, "cloudwatch.amazonaws.com")
    assert decide(policy, *alarm, aws_sourceaccount=ACCOUNT) == "Allow"
    assert decide(policy, *alarm, aws_sourceaccount="999999999999") == "ImplicitDeny"
    assert (
        decide(policy, "sns:Publish", topic, "events.amazonaws.com", aws_sourceaccount=ACCOUNT)
        == "ImplicitDeny"
    )
    key = dev[KEY, "statecast-alarms-key"].inputs["policy"]
    assert decide(key, "kms:GenerateDataKey", "*", "cloudwatch.amazonaws.com") == "Allow"
    assert decide(key, "kms:Decrypt", "*", "events.amazonaws.com") == "ImplicitDeny"


@pytest.mark.parametrize("action", ["ecs:StopTask", "ecs:DescribeTasks"])
def test_the_reaper_stops_tasks_of_the_one_cluster(dev: Evaluation, action: str) -> None:
    """By the task's ARN and by `ecs:cluster`, each of which suffices to refuse."""
    policy = dev[ROLE_POLICY, "statecast-reaper-role-policy"].inputs["policy"]
    clusters = [ARNS["aws:ecs/cluster:Cluster"].format(name) for name in ("statecast-tasks", "other")]
    own, others = clusters
    task, others_task = (f"{cluster.replace(':cluster/', ':task/')}/1" for cluster in clusters)
    assert decide(policy, action, task, ecs_cluster=own) == "Allow"
    assert decide(policy, action, others_task, ecs_cluster=others) == "ImplicitDeny"
    assert decide(policy, action, others_task, ecs_cluster=own) == "ImplicitDeny"
    assert decide(policy, action, task, ecs_cluster=others) == "ImplicitDeny"
    assert decide(policy, action, task) == "ImplicitDeny"


@pytest.mark.parametrize("action", ["lambda:UpdateEventSourceMapping", "lambda:DeleteEventSourceMapping"])
def test_no_role_may_end_the_function_s_reading(stacks: Mapping[str, Evaluation], action: str) -> None:
    """The emulator lets anyone."""
    mapping = f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:1"
    policies = {
        made.name: made.inputs["policy"] for stack in stacks.values() for made in stack.of(ROLE_POLICY)
    }
    assert {f"{each.role}-policy" for each in PRINCIPALS.values() if each.role} <= policies.keys()
    assert {decide(policy, action, mapping) for policy in policies.values()} == {"ImplicitDeny"}


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.privilege.page`"


def test_every_principal_is_refused_something_and_every_kind_of_call_is_refused_to_someone() -> None:
    assert REFUSED.keys() == PRINCIPALS.keys()
    assert {call for calls in REFUSED.values() for call in calls} == CALLS.keys()
    assert all(len(set(calls)) == len(calls) for calls in REFUSED.values())


def test_the_agent_may_pull_the_stack_s_image_and_no_other(dev: Evaluation) -> None:
    """A laptop's stack has no repository, but the name of one."""
    policy = dev[ROLE_POLICY, "statecast-tasks-execution-role-policy"].inputs["policy"]
    repository = ARNS["aws:ecr/repository:Repository"]
    for action in ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"):
        assert decide(policy, action, repository.format("statecast-image")) == "Allow"
        assert decide(policy, action, repository.format("other")) == "ImplicitDeny"
    assert decide(policy, "ecr:GetAuthorizationToken", "*") == "Allow"
    for action in ("ecr:PutImage", "ecr:DeleteRepository", "ecr:CompleteLayerUpload"):
        assert decide(policy, action, repository.format("statecast-image")) == "ImplicitDeny"
