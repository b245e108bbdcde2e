import ast
import json
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.runtime import mocks
from pulumi.runtime.settings import _get_rpc_manager
from pulumi.runtime.stack import wait_for_rpcs

from settings import MOST_SLOTS
from tests.program.conftest import CHECKOUT, Cloud, Evaluation, evaluate, run_program, stack_configuration

API = {
    "aws:appsync/graphQLApi:GraphQLApi": 1,
    "aws:appsync/dataSource:DataSource": 1,
    "aws:appsync/resolver:Resolver": 3,
}
BASE = API | {
    "aws:appautoscaling/target:Target": 1,
    "aws:cloudwatch/dashboard:Dashboard": 1,
    "aws:dynamodb/table:Table": 2,
    "aws:ec2/routeTable:RouteTable": 1,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": 2,
    "aws:ec2/securityGroup:SecurityGroup": 2,
    "aws:ec2/subnet:Subnet": 2,
    "aws:ec2/vpc:Vpc": 1,
    "aws:ec2/vpcEndpoint:VpcEndpoint": 6,
    "aws:ecs/cluster:Cluster": 1,
    "aws:ecs/service:Service": 1,
    "aws:ecs/taskDefinition:TaskDefinition": 1,
    "aws:kms/key:Key": 1,
    "aws:sns/topic:Topic": 2,
    "aws:sns/topicPolicy:TopicPolicy": 2,
}
# Where a program can name what AWS knows by that name in the whole account.
NAMES = ("name", "bucket", "dashboardName")
BUILT_IMAGE = {"aws:ecr/repository:Repository": 1, "docker-build:index:Image": 1}
LAMBDA = {"aws:lambda/alias:Alias": 1}
PIPE = {"aws:pipes/pipe:Pipe": 1}
BUS = PIPE | {"aws:cloudwatch/eventBus:EventBus": 1}
REAPER = {
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": 1,
    "aws:lambda/permission:Permission": 3,
    "aws:s3/bucket:Bucket": 1,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 1,
    "aws:s3/bucketPolicy:BucketPolicy": 1,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 1,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 1,
}
# No change topic, nothing that forwards, no queues, nor an endpoint to them; one alarm, on slow polls.
POLL = BASE | {
    "aws:cloudwatch/metricAlarm:MetricAlarm": 1,
    "aws:ec2/vpcEndpoint:VpcEndpoint": 5,
    "aws:sns/topic:Topic": 1,
    "aws:sns/topicPolicy:TopicPolicy": 1,
    "aws:cloudwatch/logGroup:LogGroup": 2,
    "aws:iam/role:Role": 4,
    "aws:iam/rolePolicy:RolePolicy": 4,
}
# Two functions, a topic beside that of the alarms, a stream; and what keeps the failures of each part.
HANDOFF = {
    "aws:cloudwatch/logGroup:LogGroup": 2,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 4,
    "aws:iam/role:Role": 2,
    "aws:iam/rolePolicy:RolePolicy": 2,
    "aws:kinesis/stream:Stream": 1,
    "aws:kms/key:Key": 1,
    "aws:lambda/eventSourceMapping:EventSourceMapping": 1,
    "aws:lambda/function:Function": 2,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": 2,
    "aws:lambda/permission:Permission": 1,
    "aws:sns/topic:Topic": 2,
    "aws:sns/topicPolicy:TopicPolicy": 2,
    "aws:sns/topicSubscription:TopicSubscription": 1,
    "aws:sqs/queue:Queue": 4,
    "aws:sqs/queuePolicy:QueuePolicy": 4,
}


def expected(
    slots: int, forwarders: int, functions: int, rules: int = 0, api_functions: int = 0
) -> dict[str, int]:
    """What grows with the slots (two queues each) and the forwarders (three alarms, a log, a role).

    And with a bus's rules (a queue, two alarms, a role), and the API's function (a log, a role); and the
    redriver (two queues, four alarms, a log, a role, a function), the reaper (a queue, five alarms, a log, a
    role, a function, two rules, a subscription), an alarm on repairs, and the logs of tasks and API with two
    roles of each.
    """
    return (
        BASE
        | REAPER
        | {
            "aws:cloudwatch/eventRule:EventRule": rules + 2,
            "aws:cloudwatch/eventTarget:EventTarget": rules + 2,
            "aws:sqs/queue:Queue": 2 * slots + 3 + rules,
            "aws:sqs/queuePolicy:QueuePolicy": 2 * slots + 3 + rules,
            "aws:sns/topicSubscription:TopicSubscription": slots + 1,
            "aws:cloudwatch/metricAlarm:MetricAlarm": slots + 3 * forwarders + 2 * rules + 10,
            "aws:cloudwatch/logGroup:LogGroup": 4 + forwarders + api_functions,
            "aws:iam/role:Role": 6 + forwarders + rules + api_functions,
            "aws:iam/rolePolicy:RolePolicy": 6 + forwarders + rules + api_functions,
            "aws:lambda/function:Function": functions + api_functions + 1,
            "aws:lambda/eventSourceMapping:EventSourceMapping": functions,
        }
    )


@pytest.mark.parametrize(
    ("stack", "types"),
    [
        ("dev", expected(slots=4, forwarders=2, functions=2) | LAMBDA | PIPE | BUILT_IMAGE),
        ("lambda", expected(slots=40, forwarders=1, functions=2) | LAMBDA | BUILT_IMAGE),
        ("pipe", expected(slots=40, forwarders=1, functions=1) | PIPE | BUILT_IMAGE),
        ("bus", expected(slots=40, forwarders=1, functions=1, rules=1) | BUS | BUILT_IMAGE),
        ("poll", POLL | BUILT_IMAGE),
        ("local", expected(slots=8, forwarders=2, functions=2, api_functions=1) | LAMBDA | PIPE),
        ("handoff", HANDOFF),
    ],
)
def test_each_stack_makes_exactly_these_resources(
    program: Callable[[str], Evaluation], stack: str, types: dict[str, int]
) -> None:
    assert program(stack).types == types


def test_the_outputs_are_what_other_programs_rely_on(program: Callable[[str], Evaluation]) -> None:
    outputs = dict(program("local").outputs)

    slots = outputs.pop("slots")
    assert slots == [
        {
            "queueUrl": f"https://sqs/statecast-slot-{number:02}",
            "dlqUrl": f"https://sqs/statecast-slot-{number:02}-dlq",
            "alarmName": f"statecast-slot-{number:02}-dlq-alarm",
        }
        for number in range(8)
    ]
    assert outputs == {
        "table": "statecast-state",
        "streamArn": "arn:aws:dynamodb:eu-south-1:123456789012:statecast-state/stream/1",
        "topicArn": "arn:aws:sns:eu-south-1:123456789012:statecast-changes",
        "leasesTable": "statecast-leases",
        "cluster": "statecast-tasks",
        "service": "statecast-tasks",
        "logGroup": "statecast-tasks-logs",
        "variants": ["lambda", "pipe"],
        "apiUrl": "https://statecast-api/graphql",
        "archive": "statecast-reaper-archive",
    }


def test_a_stack_without_an_api_exports_no_url_and_makes_none_of_it() -> None:
    made = evaluate(run_program, stack_configuration("lambda") | {"statecast:writeApi": "none"})

    assert made.outputs["apiUrl"] == ""
    assert not made.types.keys() & API.keys()


def test_a_stack_that_polls_has_no_topic_and_slots_without_queues(
    program: Callable[[str], Evaluation],
) -> None:
    outputs = program("poll").outputs

    assert (outputs["topicArn"], outputs["slots"], outputs["variants"]) == ("", [], ["poll"])
    assert outputs["archive"] == "", "without queues there is nothing to reap"


def test_the_topics_policy_is_one_whatever_forwards(program: Callable[[str], Evaluation]) -> None:
    key = ("aws:sns/topicPolicy:TopicPolicy", "statecast-changes-policy")

    policies = {program(stack)[key].inputs["policy"] for stack in ("lambda", "pipe", "bus", "dev")}
    assert len(policies) == 1, "an update that changes variants would cut the old forwarder off at its start"


@pytest.mark.parametrize(
    ("stack", "topic", "publishers"),
    [
        ("dev", "statecast-changes", {"statecast-lambda", "statecast-pipe", "statecast-redriver"}),
        ("bus", "statecast-changes", {"statecast-bus-rule", "statecast-redriver"}),
        ("handoff", "statecast-handoff-topic", {"statecast-handoff-sender"}),
    ],
)
def test_the_roles_that_publish_and_no_others_are_under_the_topics_path(
    program: Callable[[str], Evaluation], stack: str, topic: str, publishers: set[str]
) -> None:
    made = program(stack)

    publishing = {
        policy.name.removesuffix("-role-policy")
        for policy in made.of("aws:iam/rolePolicy:RolePolicy")
        if "sns:Publish" in policy.inputs["policy"]
    }
    paths = {
        role.name.removesuffix("-role"): role.inputs.get("path") for role in made.of("aws:iam/role:Role")
    }
    assert publishing == publishers
    assert {name: path for name, path in paths.items() if path} == dict.fromkeys(publishers, f"/{topic}/")


def test_every_forwarder_sends_what_it_gives_up_to_the_redriver(program: Callable[[str], Evaluation]) -> None:
    made = program("dev")

    queue = "arn:aws:sqs:eu-south-1:123456789012:statecast-redriver-failures"
    mapping = made["aws:lambda/eventSourceMapping:EventSourceMapping", "statecast-lambda-mapping"].inputs
    pipe = made["aws:pipes/pipe:Pipe", "statecast-pipe"].inputs["sourceParameters"][
        "dynamodbStreamParameters"
    ]
    assert mapping["destinationConfig"] == {"onFailure": {"destinationArn": queue}}
    assert pipe["deadLetterConfig"] == {"arn": queue}


def test_tasks_start_once_every_slot_is_subscribed_and_the_network_leads_to_aws(
    program: Callable[[str], Evaluation],
) -> None:
    made = program("local")

    service = made["aws:ecs/service:Service", "statecast-tasks"].options.depends_on
    subscriptions = [
        each
        for each in made.of("aws:sns/topicSubscription:TopicSubscription")
        if each.inputs["protocol"] == "sqs"
    ]
    endpoints = made.of("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert {resource.urn for resource in [*subscriptions, *endpoints]} <= service


def test_no_alarm_on_missing_tasks_is_there_before_they_are(program: Callable[[str], Evaluation]) -> None:
    made = program("lambda")

    service = made["aws:ecs/service:Service", "statecast-tasks"].urn
    breaching = [
        alarm
        for alarm in made.of("aws:cloudwatch/metricAlarm:MetricAlarm")
        if alarm.inputs["treatMissingData"] == "breaching"
    ]
    assert {alarm.name for alarm in breaching if service not in alarm.options.depends_on} == set()
    assert len(breaching) == 2


@pytest.mark.parametrize(("role", "queues"), [("tasks", "slot-119"), ("reaper", "slot-119-dlq")])
def test_the_largest_service_that_settings_allow_fits_the_roles_policies(
    program: Callable[[str], Evaluation], role: str, queues: str
) -> None:
    policy = program("lambda")["aws:iam/rolePolicy:RolePolicy", f"statecast-{role}-role-policy"].inputs[
        "policy"
    ]
    document = json.loads(policy)
    queue = f"arn:aws:sqs:ap-southeast-1:123456789012:statecast-{queues}-1a2b3c4"
    document["Statement"][0]["Resource"] = [queue] * MOST_SLOTS

    assert len(json.dumps(document, separators=(",", ":"))) < 10_240


def test_pulumi_finds_registrations_begun_when_it_begins_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    async def wait() -> None:
        begun.append(len(_get_rpc_manager().rpcs))
        await wait_for_rpcs()

    monkeypatch.setattr("pulumi.runtime.stack.wait_for_rpcs", wait)
    made = evaluate(run_program, stack_configuration("handoff"), "handoff").resources
    assert len(begun) == 1
    assert begun[0] >= len(made)


def test_only_the_settings_read_configuration() -> None:
    readers = [
        source.name
        for source in [
            CHECKOUT / "__main__.py",
            CHECKOUT / "handoff.py",
            *sorted((CHECKOUT / "components").rglob("*.py")),
        ]
        if any(
            isinstance(node, ast.Attribute) and node.attr in {"Config", "config", "environ", "getenv"}
            for node in ast.walk(ast.parse(source.read_text()))
        )
    ]
    assert readers == []


def test_the_hand_off_exports_what_its_experiment_relies_on(program: Callable[[str], Evaluation]) -> None:
    assert program("handoff").outputs == {
        "sender": "arn:aws:lambda:eu-south-1:123456789012:statecast-handoff-sender",
        "senderLogGroup": "statecast-handoff-sender-logs",
        "receiver": "arn:aws:lambda:eu-south-1:123456789012:statecast-handoff-receiver",
        "receiverLogGroup": "statecast-handoff-receiver-logs",
        "ways": ["synchronous", "asynchronous", "sns", "kinesis"],
    }


class Shared(Cloud):
    """An account that several stacks are in: what Pulumi names ends as nothing else does."""

    def __init__(self, ending: str) -> None:
        self._ending = ending

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        args.name += self._ending
        return super().new_resource(args)


@pytest.mark.parametrize("stack", ["dev", "bus", "handoff"])
def test_two_stacks_of_one_name_can_be_in_one_account(stack: str) -> None:
    def named(ending: str) -> set[tuple[str, str]]:
        made = evaluate(run_program, stack_configuration(stack), stack, cloud=Shared(ending))
        # A data source's name is its API's own.
        mine = [each for each in made.resources if each.type != "aws:appsync/dataSource:DataSource"]
        return {(each.type, each.inputs[key]) for each in mine for key in NAMES if key in each.inputs}

    assert named("-1a2b3c4") & named("-5d6e7f8") == set(), "one up fails, or writes over what is the other's"


@pytest.mark.parametrize("stack", ["local", "handoff"])
def test_every_resource_is_owned_by_its_component(program: Callable[[str], Evaluation], stack: str) -> None:
    orphans = [
        made.name
        for made in program(stack).resources
        if made.parent.rpartition("::")[2] == f"statecast-{stack}" and not made.type.startswith("statecast:")
    ]
    assert orphans == []
