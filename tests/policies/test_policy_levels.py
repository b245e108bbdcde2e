"""What the pack does on `up`, what it sets right, and how a user tells it to."""

import json
import re
from collections.abc import Callable, Mapping

import pytest

from local.emulator import Account
from tests.engine import CHECKOUT, Project
from tests.policies.conftest import Configure

PACK = CHECKOUT / "policies"

# Every document here is unknown at the first preview, and one is wrong.
WIDE_ROLE = """
import pulumi_aws as aws
from components.policy_document import allow, document
from components.alarm_topic import AlarmTopic, AlarmTopicArgs

topic = AlarmTopic("alarms", AlarmTopicArgs(email=""))
role = aws.iam.Role(
    "role",
    assume_role_policy=document(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    ),
)
aws.iam.RolePolicy("wide", role=role.name, policy=document(allow(["sns:*"], topic.arn)))
"""

CARELESS = """
import pulumi
import pulumi_aws as aws
from components.policy_document import document

queue = aws.sqs.Queue("orders", name="orders")
statement = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sqs:SendMessage"}
aws.sqs.QueuePolicy(
    "policy", queue_url=queue.url, policy=document(statement | {"Resource": queue.arn})
)
aws.cloudwatch.LogGroup("log", name="log")
table = {"attributes": [{"name": "id", "type": "S"}], "hash_key": "id", "billing_mode": "PAY_PER_REQUEST"}
aws.dynamodb.Table("table", **table)
"""

# Whatever else the pack asks of a table, it has.
UNPROTECTED = """
import pulumi_aws as aws

aws.dynamodb.Table(
    "table",
    attributes=[{"name": "id", "type": "S"}],
    hash_key="id",
    billing_mode="PAY_PER_REQUEST",
    point_in_time_recovery={"enabled": True},
)
"""

pytestmark = pytest.mark.engine


@pytest.mark.emulator
def test_a_document_that_is_wrong_is_refused_on_up_before_it_is_made(
    project: Callable[..., Project], aws_with_account: Mapping[str, str]
) -> None:
    bad = project(WIDE_ROLE, **aws_with_account)
    preview = bad.run("preview", "--policy-pack", PACK)
    assert preview.returncode == 0, preview.stdout
    assert "[mandatory]" not in preview.stdout
    assert "policy is not known before it is made: wide (no-star-action, no-star-resource)" in preview.stdout
    update = bad.run("up", "--yes", "--policy-pack", PACK)
    assert update.returncode != 0
    assert "'wide': name each action that is needed instead of sns:*." in update.stdout
    resources = json.loads(bad.run("stack", "export").stdout)["deployment"]["resources"]
    made = {each["urn"].split("::")[-1] for each in resources}
    assert "role" in made
    assert "wide" not in made


@pytest.mark.emulator
def test_what_is_safe_to_set_right_is_set_right_if_the_user_asks(
    project: Callable[..., Project],
    aws_with_account: Mapping[str, str],
    account: Account,
    configure: Configure,
) -> None:
    config = configure(
        {
            "all": "disabled",
            "queue-is-encrypted": "remediate",
            "tls-only": "remediate",
            "log-has-retention": {"enforcementLevel": "remediate", "days": 90},
        }
    )
    careless = project(CARELESS, **aws_with_account)
    up = ("up", "--yes", "--policy-pack", PACK, "--policy-pack-config", config)
    update = careless.run(*up)
    assert update.returncode == 0, update.stdout
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["SqsManagedSseEnabled"] == "true"
    kept, denial = json.loads(attributes["Policy"])["Statement"]
    assert kept["Action"] == "sqs:SendMessage"
    assert (denial["Effect"], denial["Action"]) == ("Deny", "sqs:*")
    assert denial["Resource"] == attributes["QueueArn"]
    (log,) = account.client("logs").describe_log_groups(logGroupNamePrefix="log")["logGroups"]
    assert log["retentionInDays"] == 90
    again = careless.run(*up, "--expect-no-changes")
    assert again.returncode == 0, again.stdout


def test_a_fault_that_is_not_set_right_blocks_and_says_how_to(
    project: Callable[..., Project], aws: Mapping[str, str], configure: Configure
) -> None:
    config = configure(
        {"all": "disabled", "log-has-retention": {"enforcementLevel": "mandatory", "days": 90}}
    )
    preview = project(CARELESS, **aws).run("preview", "--policy-pack", PACK, "--policy-pack-config", config)
    assert preview.returncode != 0
    assert "'log': set retention_in_days, to 90 or more." in preview.stdout


def test_settings_that_are_not_allowed_are_refused_by_name(
    project: Callable[..., Project], aws: Mapping[str, str], configure: Configure
) -> None:
    wrong = {
        "log-has-retention": {"days": 2},
        "table-is-protected": {"stacks": "dev"},
        "no-star-resource": {"actions": [1]},
        "undecided": {"names": 0},
    }
    preview = project(CARELESS, **aws).run(
        "preview", "--policy-pack", PACK, "--policy-pack-config", configure(wrong)
    )
    assert preview.returncode != 0
    assert "[mandatory]" not in preview.stdout
    for rule, settings in wrong.items():
        assert f"{rule}: {next(iter(settings))}" in preview.stdout, preview.stdout


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"log-has-retention": {"day": 365}}, "day is not a setting of log-has-retention: it has days"),
        ({"table-recovers": {"days": 1}}, "days is not a setting of table-recovers: it has none"),
    ],
)
def test_a_setting_that_a_rule_has_not_is_refused_by_name(
    project: Callable[..., Project],
    aws: Mapping[str, str],
    configure: Configure,
    wrong: dict[str, dict[str, int]],
    told: str,
) -> None:
    [(rule, settings)] = wrong.items()
    config = configure({"all": "disabled", rule: {"enforcementLevel": "mandatory", **settings}})
    preview = project(CARELESS, **aws).run("preview", "--policy-pack", PACK, "--policy-pack-config", config)
    assert preview.returncode != 0
    assert told in preview.stdout


def test_a_stack_that_is_made_to_be_destroyed_may_be_named(
    project: Callable[..., Project], aws: Mapping[str, str], configure: Configure
) -> None:
    careless = project(CARELESS, **aws)
    on = {"enforcementLevel": "mandatory"}

    def preview(stacks: list[str]) -> int:
        config = configure({"all": "disabled", "table-is-protected": on | {"stacks": stacks}})
        return careless.run("preview", "--policy-pack", PACK, "--policy-pack-config", config).returncode

    assert preview(["dev"]) != 0
    assert preview(["dev", "test"]) == 0


def test_a_protected_stack_is_destroyed_by_what_the_rule_says(
    project: Callable[..., Project], aws: Mapping[str, str], configure: Configure
) -> None:
    unprotected = project(UNPROTECTED, **aws)
    refused = unprotected.run("preview", "--policy-pack", PACK)
    assert refused.returncode != 0
    told = re.search(r"--policy-pack-config FILE, where FILE is (\{.+\})\.$", refused.stdout, re.MULTILINE)
    assert told, refused.stdout
    config = json.loads(told[1])
    assert config == {"table-is-protected": {"stacks": ["dev", "local", "test"]}}

    def preview(stacks: list[str]) -> int:
        given = configure({"table-is-protected": {"stacks": stacks}})
        return unprotected.run("preview", "--policy-pack", PACK, "--policy-pack-config", given).returncode

    assert preview(["dev", "local", "test"]) == 0
    assert preview(["dev", "local", "other"]) != 0
