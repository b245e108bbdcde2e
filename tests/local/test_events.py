import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from local.emulator import Account
from local.events import TaskEvents, state_change
from tests.emulation import eventually

pytestmark = pytest.mark.emulator

Received = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def cluster(account: Account) -> str:
    ecs, name = account.client("ecs"), uuid4().hex
    ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "main", "image": "none", "command": ["true"]}]
    )
    return ecs.create_cluster(clusterName=name)["cluster"]["clusterName"]


def stopped_task(account: Account, cluster: str) -> str:
    ecs = account.client("ecs")
    arn = ecs.run_task(cluster=cluster, taskDefinition=cluster, count=1)["tasks"][0]["taskArn"]
    ecs.stop_task(cluster=cluster, task=arn, reason="a test")
    return arn


def rule(account: Account, pattern: dict[str, Any], state: str = "ENABLED", **target: Any) -> Received:
    """A rule with a queue for target; what it received."""
    sqs, events, name = account.client("sqs"), account.client("events"), uuid4().hex
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), State=state)
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn, **target}])

    def receive() -> list[dict[str, Any]]:
        return [json.loads(of["Body"]) for of in sqs.receive_message(QueueUrl=queue).get("Messages", [])]

    return receive


def test_a_stopped_task_is_told_to_the_rules_that_match_and_to_no_others(
    account: Account, cluster: str
) -> None:
    task = stopped_task(account, cluster)
    found = account.client("ecs").describe_tasks(cluster=cluster, tasks=[task])["tasks"][0]
    of_cluster = {"clusterArn": [found["clusterArn"]], "lastStatus": ["STOPPED"]}
    told = rule(account, {"detail-type": ["ECS Task State Change"], "detail": of_cluster})
    others = [
        rule(account, {"detail": {**of_cluster, "clusterArn": ["another"]}}),
        rule(account, {"detail": {**of_cluster, "lastStatus": ["RUNNING"]}}),
        rule(account, {"detail": of_cluster}, state="DISABLED"),
        rule(account, {"detail": of_cluster}, Input="{}"),
    ]
    TaskEvents(account).stopped(task)
    (event,) = eventually(told)
    assert (event["source"], event["region"], event["resources"]) == ("aws.ecs", "eu-south-1", [task])
    assert event["detail"]["taskArn"] == task
    assert event["detail"]["stoppedReason"] == "a test"
    assert event["detail"]["stoppedAt"].startswith("20")
    assert [other() for other in others] == [[]] * len(others)


def test_a_target_that_is_gone_does_not_keep_the_others_from_being_told(
    account: Account, cluster: str
) -> None:
    task = stopped_task(account, cluster)
    pattern = {"detail": {"taskArn": [task]}}
    for kind in ("lambda:eu-south-1:000000000000:function:gone", "sqs:eu-south-1:000000000000:gone"):
        rule(account, pattern, Arn=f"arn:aws:{kind}")
    told = rule(account, pattern)
    TaskEvents(account).stopped(task)
    assert len(eventually(told)) == 1


def test_a_task_that_ecs_has_forgotten_is_not_told_of(account: Account, cluster: str) -> None:
    told = rule(account, {"source": ["aws.ecs"]})
    TaskEvents(account).stopped(f"arn:aws:ecs:eu-south-1:000000000000:task/{cluster}/{uuid4().hex}")
    assert told() == []


def test_the_event_names_what_the_task_s_arn_does() -> None:
    event = state_change({"taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/cluster/1"})
    assert (event["account"], event["region"]) == ("123456789012", "eu-west-1")
