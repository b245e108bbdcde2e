"""Each principal does its job under the policies of the program, and nothing else."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.events import state_change
from local.task_process import TaskProcess, get
from tests.emulation import eventually
from tests.privilege.calls import CALLS, JOBS, REFUSED, Call, Client, Job, Targets
from tests.privilege.deployment import REGION, Deployment
from tests.privilege.principals import PRINCIPALS, Principal

pytestmark = [pytest.mark.engine, pytest.mark.emulator]

DENIALS = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
"""How services say that a policy does not allow it, or denies it. SNS has a word of its own."""


@dataclass(frozen=True)
class Cast:
    """The principals, and what they call."""

    deployment: Deployment
    targets: Targets
    sessions: Mapping[str, boto3.Session]

    def client(self, principal: str, *, plain_http: bool = False) -> Client:
        def make(service: str) -> Any:
            client = self.deployment.client(service, self.sessions[principal])
            if plain_http:
                # As a load balancer tells of it. The emulator has the one port, and it speaks TLS.
                client.meta.events.register(
                    "before-sign",
                    lambda request, **_: request.headers.add_header("X-Forwarded-Proto", "http"),
                )
            return client

        return make


@pytest.fixture(scope="module")
def cast(deployment: Deployment) -> Cast:
    targets = _targets(deployment)
    may_assume = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]
    sessions = {"admin": deployment.admin, "tester": deployment.user("tester", may_assume)}
    for name, principal in PRINCIPALS.items():
        sessions[name] = _session(deployment, sessions["tester"], name, principal)
    return Cast(deployment, targets, sessions)


def _targets(deployment: Deployment) -> Targets:
    outputs = deployment.outputs
    deployment.client("dynamodb").create_table(
        TableName="of-no-one-here",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    ecs, sqs = deployment.client("ecs"), deployment.client("sqs")
    other = sqs.create_queue(QueueName="of-no-one-here")["QueueUrl"]
    described = deployment.client("dynamodbstreams").describe_stream(StreamArn=outputs["streamArn"])
    slot, service = outputs["slots"][0], deployment.made("statecast-tasks", "Service")
    other_cluster = ecs.create_cluster(clusterName="of-no-one-here")["cluster"]["clusterArn"]
    archive, letter = outputs["archive"], "00/letter.json"
    deployment.client("s3").put_object(Bucket=archive, Key=letter, Body=b"{}")

    def started(cluster: str) -> str:
        return ecs.run_task(cluster=cluster, taskDefinition=service["taskDefinition"])["tasks"][0]["taskArn"]

    def arn(url: str) -> str:
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    return Targets(
        table=outputs["table"],
        other_table="of-no-one-here",
        leases=outputs["leasesTable"],
        stream=outputs["streamArn"],
        shard=described["StreamDescription"]["Shards"][0]["ShardId"],
        topic=outputs["topicArn"],
        alarm_topic=deployment.made("statecast-alarms", "Topic")["arn"],
        slot=slot["queueUrl"],
        slot_arn=arn(slot["queueUrl"]),
        dlq=slot["dlqUrl"],
        failures=deployment.made("statecast-redriver-failures", "Queue")["url"],
        lost=deployment.made("statecast-redriver-failures-dlq", "Queue")["url"],
        unreaped=deployment.made("statecast-reaper-dlq", "Queue")["url"],
        other_queue_arn=arn(other),
        archive=archive,
        letter=letter,
        cluster=outputs["cluster"],
        service=outputs["service"],
        task=deployment.task,
        sick_task=started(outputs["cluster"]),
        other_cluster=other_cluster,
        other_task=started(other_cluster),
        task_definition=service["taskDefinition"],
        tasks_log=outputs["logGroup"],
        lambda_log=deployment.made("statecast-lambda-logs", "LogGroup")["name"],
        api_log=deployment.made("statecast-api-function-logs", "LogGroup")["name"],
        redriver_log=deployment.made("statecast-redriver-logs", "LogGroup")["name"],
        reaper_log=deployment.made("statecast-reaper-logs", "LogGroup")["name"],
        function=deployment.made("statecast-lambda", "Function")["name"],
        pipe=deployment.made("statecast-pipe", "Pipe")["name"],
        alarm=slot["alarmName"],
        key=deployment.made("statecast-alarms-key", "Key")["keyId"],
        task_role=deployment.made("statecast-tasks-role", "Role")["arn"],
        lambda_role=deployment.made("statecast-lambda-role", "Role")["arn"],
        subnets=service["networkConfiguration"]["subnets"],
    )


def _session(deployment: Deployment, tester: boto3.Session, name: str, principal: Principal) -> boto3.Session:
    if principal.policy:
        table_arn = deployment.made("statecast-state", "Table")["arn"]
        return deployment.user(name, principal.policy(table_arn))
    role = deployment.made(principal.role, "Role")
    # It is for a service, on a condition of which the emulator knows nothing: let the tester in, too. What
    # the role may do stays as it is.
    trust = json.loads(role["assumeRolePolicy"])
    user = deployment.client("sts", tester).get_caller_identity()["Arn"]
    trust["Statement"].append({"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"})
    deployment.client("iam").update_assume_role_policy(
        RoleName=role["name"], PolicyDocument=json.dumps(trust)
    )
    given = deployment.client("sts", tester).assume_role(RoleArn=role["arn"], RoleSessionName="privilege")
    return boto3.Session(
        given["Credentials"]["AccessKeyId"],
        given["Credentials"]["SecretAccessKey"],
        given["Credentials"]["SessionToken"],
        REGION,
    )


def test_a_change_goes_its_whole_way_by_both_forwarders_and_each_role_suffices(
    cast: Cast, tmp_path: Path
) -> None:
    """The function under its role, a consumer under the tasks'. The emulator asks no role of its pipe."""
    task = cast.deployment.run_task(cast.sessions["task"], tmp_path / "task.log")
    try:
        eventually(lambda: state(task)["mode"] == "push" and task.row()["status"] == "ready")
        written = write(cast, "way")
        eventually(lambda: items(task).get("way", {}).get("version") == written)
        cast.client("writer")("dynamodb").delete_item(TableName=cast.targets.table, Key={"id": {"S": "way"}})
        eventually(lambda: "way" not in items(task))
        # A write and a delete, each by each forwarder.
        eventually(lambda: all(sum(state(task)["counts"][by].values()) >= 2 for by in ("lambda", "pipe")))
        cast.client("pipe")("sqs").send_message(
            QueueUrl=cast.targets.failures, MessageBody=json.dumps({"DDBStreamBatchInfo": place(cast, "way")})
        )
        eventually(lambda: sum(state(task)["counts"].get("redriver", {}).values()) >= 1)
        slot, undeleted = (state(task)[key] for key in ("slot", "undeleted"))
        assert undeleted == 0
        assert [
            line for line in (tmp_path / "task.log").read_text().splitlines() if "AccessDenied" in line
        ] == []
    finally:
        task.stop()
        eventually(task.has_ended, seconds=30)
    lease = cast.deployment.client("dynamodb").get_item(
        TableName=cast.targets.leases, Key={"slot": {"S": slot}}, ConsistentRead=True
    )["Item"]
    assert "lease" not in lease, "it gave its slot back"


def write(cast: Cast, key: str) -> int:
    """A write as docs/message.md has it; its version."""
    answer = cast.client("writer")("dynamodb").update_item(
        TableName=cast.targets.table,
        Key={"id": {"S": key}},
        UpdateExpression="SET version = if_not_exists(version, :now) + :one, writtenAt = :now",
        ExpressionAttributeValues={":now": {"N": str(int(time.time() * 1000))}, ":one": {"N": "1"}},
        ReturnValues="UPDATED_NEW",
    )
    return int(answer["Attributes"]["version"]["N"])


def place(cast: Cast, key: str) -> dict[str, Any]:
    """Where the stream has the first change of an item, as a forwarder tells of what it gave up."""
    at, streams = cast.targets, cast.client("redriver")("dynamodbstreams")
    iterator = streams.get_shard_iterator(
        StreamArn=at.stream, ShardId=at.shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = [each["dynamodb"] for each in streams.get_records(ShardIterator=iterator)["Records"]]
    number = next(each["SequenceNumber"] for each in records if each["Keys"]["id"]["S"] == key)
    return {
        "streamArn": at.stream,
        "shardId": at.shard,
        "startSequenceNumber": number,
        "endSequenceNumber": number,
        "batchSize": 1,
    }


def state(task: TaskProcess) -> dict[str, Any]:
    task.look()
    return json.loads(get(f"{task.row()['url']}/state") or b'{"mode": ""}')


def items(task: TaskProcess) -> dict[str, Any]:
    return json.loads(get(f"{task.row()['url']}/state/items") or b"{}")


def test_the_reaper_archives_a_letter_stops_its_task_and_gives_the_slot_back(cast: Cast) -> None:
    """The function under its role. The lease is as docs/message.md has it."""
    at = cast.targets
    dynamodb, ecs, s3, sqs = map(cast.client("admin"), ("dynamodb", "ecs", "s3", "sqs"))
    lease = {
        "slot": {"S": "00"},
        "lease": {"S": "of the sick task"},
        "task": {"S": at.sick_task},
        "leasedAt": {"N": "0"},
        "expiresAt": {"N": str(int(time.time() * 1000) + 600_000)},
    }
    dynamodb.put_item(TableName=at.leases, Item=lease)
    letter = sqs.send_message(QueueUrl=at.dlq, MessageBody="not a change")

    def left() -> list[str]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=at.dlq, AttributeNames=names)["Attributes"]
        return [found[name] for name in names]

    def sick_task() -> dict[str, Any]:
        (task,) = ecs.describe_tasks(cluster=at.cluster, tasks=[at.sick_task])["tasks"]
        return task

    call_reaper(cast, {"source": "aws.events"})
    # Its run each minute may be at it, too.
    eventually(lambda: left() == ["0", "0"] and sick_task()["desiredStatus"] == "STOPPED")
    assert sick_task()["stoppedReason"].startswith("statecast reaper: it did not apply ")
    key = f"00/{letter['MessageId']}.json"
    archived = json.load(s3.get_object(Bucket=at.archive, Key=key)["Body"])
    assert (archived["why"], archived["task"]) == ("sick-task", at.sick_task)
    assert archived["message"]["Body"] == "not a change"

    call_reaper(cast, state_change(sick_task()))
    slot = dynamodb.get_item(TableName=at.leases, Key={"slot": {"S": "00"}}, ConsistentRead=True)["Item"]
    assert "lease" not in slot and "freedAt" in slot


def call_reaper(cast: Cast, event: Mapping[str, Any]) -> None:
    """Call the reaper's function, and wait for it."""
    name = cast.deployment.made("statecast-reaper", "Function")["name"]
    answer = cast.client("admin")("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    assert "FunctionError" not in answer, answer["Payload"].read().decode()


def test_another_topic_delivers_nothing_to_a_slot(cast: Cast) -> None:
    """SNS asks the queue's policy, and drops what that does not allow. No call fails."""
    sns, sqs, at = cast.client("neighbour")("sns"), cast.client("neighbour")("sqs"), cast.targets
    other = sns.create_topic(Name="of-a-neighbour")["TopicArn"]
    open_queue = sqs.create_queue(QueueName="open-to-all-topics")["QueueUrl"]
    open_arn = sqs.get_queue_attributes(QueueUrl=open_queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    to_all = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": open_arn,
    }
    sqs.set_queue_attributes(
        QueueUrl=open_queue,
        Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [to_all]})},
    )
    for queue in (at.slot_arn, open_arn):
        sns.subscribe(TopicArn=other, Protocol="sqs", Endpoint=queue)
    sns.publish(TopicArn=other, Message="of a neighbour")
    cast.client("lambda")("sns").publish(TopicArn=at.topic, Message="of the forwarder")

    def received(queue: str, last: str) -> list[str]:
        bodies: list[str] = []
        while last not in bodies:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            bodies += [json.loads(each["Body"])["Message"] for each in answer.get("Messages", [])]
        return bodies

    assert "of a neighbour" in received(open_queue, "of a neighbour"), "it works where a queue lets it"
    assert "of a neighbour" not in received(at.slot, "of the forwarder")


@pytest.mark.parametrize("job", JOBS, ids=lambda job: f"{job.by} {job.action}")
def test_a_principal_may_do_what_its_job_needs(cast: Cast, job: Job) -> None:
    job.do(cast.client(job.by), cast.targets)


@pytest.mark.parametrize("principal", [name for name, each in PRINCIPALS.items() if each.role])
def test_a_role_has_no_permission_that_its_job_does_not_need(cast: Cast, principal: str) -> None:
    role = cast.deployment.made(f"{PRINCIPALS[principal].role}-policy", "RolePolicy")
    statements = json.loads(role["policy"])["Statement"]
    given = {action for each in statements for action in each["Action"]}
    # There is no image to pull: `test_documents` decides on the registry's actions.
    assert {action for action in given if not action.startswith("ecr:")} == {
        action for job in JOBS if job.by == principal for action in job.action.split()
    }


@pytest.mark.parametrize(
    ("principal", "call"), [(by, call) for by, calls in REFUSED.items() for call in calls]
)
def test_a_principal_is_refused_all_else(cast: Cast, principal: str, call: str) -> None:
    asked = CALLS[call]
    with pytest.raises(ClientError) as refused:
        asked.do(cast.client(principal, plain_http=asked.plain_http), cast.targets)
    assert refused.value.response["Error"]["Code"] in DENIALS, refused.value


@pytest.mark.parametrize(
    "call",
    sorted(CALLS.values(), key=lambda call: call.destroys),
    ids={each: name for name, each in CALLS.items()}.get,
)
def test_what_is_refused_works_for_someone(cast: Cast, call: Call) -> None:
    call.do(cast.client(call.allowed), cast.targets)
