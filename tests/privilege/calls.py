"""What each principal calls in its job, and what it is refused: a new one adds its lines to both lists."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

Client = Callable[[str], Any]
"""A principal's client of a service."""


@dataclass(frozen=True)
class Targets:
    """What is called, by name, ARN or URL as the calls take it."""

    table: str
    other_table: str  # of no one here
    leases: str
    stream: str
    shard: str
    topic: str
    alarm_topic: str
    slot: str
    slot_arn: str
    dlq: str  # the slot's
    failures: str  # what forwarders gave up
    lost: str  # what the redriver gave up
    unreaped: str  # what the reaper failed at
    other_queue_arn: str  # of no one here
    archive: str
    letter: str  # in the archive
    cluster: str
    service: str
    task: str
    sick_task: str  # one more, to be stopped
    other_cluster: str  # of no one here
    other_task: str  # that runs there
    task_definition: str
    tasks_log: str
    lambda_log: str
    redriver_log: str
    reaper_log: str
    api_log: str
    function: str
    pipe: str
    alarm: str
    key: str
    task_role: str
    lambda_role: str
    subnets: list[str]


Do = Callable[[Client, Targets], Any]


@dataclass(frozen=True)
class Job:
    """A call that a principal's job needs, and the action that allows it."""

    by: str
    action: str
    do: Do


@dataclass(frozen=True)
class Call:
    """A call that is refused to some. It works for someone: else it could be refused for any other reason."""

    do: Do
    allowed: str = "admin"  # for whom it works
    plain_http: bool = False  # whoever is refused calls without TLS
    destroys: bool = False  # where it works, other calls have nothing left to work on


def _item(key: str) -> dict[str, Any]:
    return {"id": {"S": key}}


def _set(table: str, key: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "Key": _item(key),
        "UpdateExpression": "SET #v = :v",
        "ExpressionAttributeNames": {"#v": "v"},
        "ExpressionAttributeValues": {":v": {"S": "v"}},
    }


def _lease(at: Targets) -> dict[str, Any]:
    return _set(at.leases, "") | {"Key": {"slot": {"S": "privilege"}}}


def _iterator(client: Client, at: Targets) -> str:
    return client("dynamodbstreams").get_shard_iterator(
        StreamArn=at.stream, ShardId=at.shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]


def _records(client: Client, at: Targets) -> Any:
    return client("dynamodbstreams").get_records(ShardIterator=_iterator(client, at))


def _send(queue: str, client: Client) -> Any:
    return client("sqs").send_message(QueueUrl=queue, MessageBody="{}")


def _receive(queue: str, client: Client) -> Any:
    return client("sqs").receive_message(QueueUrl=queue)


def _log(group: str, client: Client) -> None:
    logs, stream = client("logs"), uuid4().hex
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": 1_700_000_000_000, "message": "m"}],
    )


def _publish(client: Client, topic: str) -> Any:
    return client("sns").publish(TopicArn=topic, Message="{}")


def _assume(client: Client, role: str) -> Any:
    return client("sts").assume_role(RoleArn=role, RoleSessionName="privilege")


def _anyone_may(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _delete(queue: str, client: Client) -> Any:
    entries = [{"Id": "0", "ReceiptHandle": "0"}]
    return client("sqs").delete_message_batch(QueueUrl=queue, Entries=entries)


def _archive(key: str, client: Client, at: Targets) -> Any:
    return client("s3").put_object(Bucket=at.archive, Key=key, Body=b"{}", IfNoneMatch="*")


def _publishes(by: str, log: Callable[[Targets], str] | None = None) -> list[Job]:
    """What whoever brings records of the stream to the topic needs."""
    return [
        Job(by, "dynamodb:GetShardIterator", _iterator),
        Job(by, "dynamodb:GetRecords", _records),
        Job(by, "sns:Publish", lambda may, at: _publish(may, at.topic)),
        Job(by, "sqs:SendMessage", lambda may, at: _send(at.failures, may)),
        *(
            [Job(by, "logs:CreateLogStream logs:PutLogEvents", lambda may, at: _log(log(at), may))]
            if log
            else []
        ),
    ]


def _reads_shards(by: str) -> list[Job]:
    """What the readers that AWS runs need more."""
    return [
        Job(by, "dynamodb:ListStreams", lambda may, at: may("dynamodbstreams").list_streams()),
        Job(
            by,
            "dynamodb:DescribeStream",
            lambda may, at: may("dynamodbstreams").describe_stream(StreamArn=at.stream),
        ),
    ]


def _writes(by: str) -> list[Job]:
    return [
        Job(by, "dynamodb:UpdateItem", lambda may, at: may("dynamodb").update_item(**_set(at.table, "w"))),
        Job(
            by,
            "dynamodb:DeleteItem",
            lambda may, at: may("dynamodb").delete_item(TableName=at.table, Key=_item("w")),
        ),
    ]


JOBS = [
    Job("task", "sqs:ReceiveMessage", lambda may, at: _receive(at.slot, may)),
    Job("task", "sqs:DeleteMessage", lambda may, at: _delete(at.slot, may)),
    Job(
        "task", "dynamodb:Scan", lambda may, at: may("dynamodb").scan(TableName=at.table, ConsistentRead=True)
    ),
    Job(
        "task",
        "dynamodb:GetItem",
        lambda may, at: may("dynamodb").get_item(TableName=at.table, Key=_item("a")),
    ),
    Job(
        "task",
        "dynamodb:UpdateItem",
        lambda may, at: may("dynamodb").update_item(**_set(at.table, "statecast:watermark:0")),
    ),
    Job("task", "dynamodb:UpdateItem", lambda may, at: may("dynamodb").update_item(**_lease(at))),
    Job(
        "task",
        "dynamodb:BatchGetItem",
        lambda may, at: may("dynamodb").batch_get_item(
            RequestItems={at.leases: {"Keys": [{"slot": {"S": "00"}}]}}
        ),
    ),
    Job("agent", "logs:CreateLogStream logs:PutLogEvents", lambda may, at: _log(at.tasks_log, may)),
    *_publishes("lambda", lambda at: at.lambda_log),
    *_reads_shards("lambda"),
    *_publishes("pipe"),
    *_reads_shards("pipe"),
    *_publishes("redriver", lambda at: at.redriver_log),
    Job("redriver", "sqs:SendMessage", lambda may, at: _send(at.lost, may)),
    Job("redriver", "sqs:ReceiveMessage", lambda may, at: _receive(at.failures, may)),
    Job("redriver", "sqs:DeleteMessage", lambda may, at: _delete(at.failures, may)),
    Job(
        "redriver",
        "sqs:GetQueueAttributes",
        lambda may, at: may("sqs").get_queue_attributes(QueueUrl=at.failures, AttributeNames=["All"]),
    ),
    Job("reaper", "sqs:ReceiveMessage", lambda may, at: _receive(at.dlq, may)),
    Job("reaper", "sqs:DeleteMessage", lambda may, at: _delete(at.dlq, may)),
    Job(
        "reaper",
        "sqs:GetQueueAttributes",
        lambda may, at: may("sqs").get_queue_attributes(QueueUrl=at.dlq, AttributeNames=["All"]),
    ),
    Job("reaper", "sqs:SendMessage", lambda may, at: _send(at.unreaped, may)),
    Job(
        "reaper",
        "dynamodb:Scan",
        lambda may, at: may("dynamodb").scan(TableName=at.leases, ConsistentRead=True),
    ),
    Job("reaper", "dynamodb:UpdateItem", lambda may, at: may("dynamodb").update_item(**_lease(at))),
    Job(
        "reaper",
        "ecs:DescribeTasks",
        lambda may, at: may("ecs").describe_tasks(cluster=at.cluster, tasks=[at.sick_task]),
    ),
    Job(
        "reaper",
        "ecs:StopTask",
        lambda may, at: may("ecs").stop_task(cluster=at.cluster, task=at.sick_task),
    ),
    Job("reaper", "s3:PutObject", lambda may, at: _archive("00/job.json", may, at)),
    Job("reaper", "logs:CreateLogStream logs:PutLogEvents", lambda may, at: _log(at.reaper_log, may)),
    *_writes("api"),
    Job(
        "api",
        "dynamodb:GetItem",
        lambda may, at: may("dynamodb").get_item(TableName=at.table, Key=_item("w")),
    ),
    Job("api", "logs:CreateLogStream logs:PutLogEvents", lambda may, at: _log(at.api_log, may)),
    *_writes("writer"),
]

CALLS: Mapping[str, Call] = {
    "send to a slot's queue": Call(lambda may, at: _send(at.slot, may)),
    "receive from a slot's queue": Call(lambda may, at: _receive(at.slot, may)),
    "receive from a slot's queue over plain HTTP": Call(
        lambda may, at: _receive(at.slot, may), allowed="task", plain_http=True
    ),
    "empty a slot's queue": Call(lambda may, at: may("sqs").purge_queue(QueueUrl=at.slot)),
    "hide a message of a slot's queue": Call(
        lambda may, at: may("sqs").change_message_visibility_batch(
            QueueUrl=at.slot, Entries=[{"Id": "0", "ReceiptHandle": "0", "VisibilityTimeout": 0}]
        )
    ),
    "change a slot's queue": Call(
        lambda may, at: may("sqs").set_queue_attributes(
            QueueUrl=at.slot, Attributes={"VisibilityTimeout": "5"}
        )
    ),
    "delete a slot's queue": Call(lambda may, at: may("sqs").delete_queue(QueueUrl=at.slot), destroys=True),
    "send to a slot's DLQ": Call(lambda may, at: _send(at.dlq, may)),
    "receive from a slot's DLQ": Call(lambda may, at: _receive(at.dlq, may)),
    "receive from a slot's DLQ over plain HTTP": Call(
        lambda may, at: _receive(at.dlq, may), allowed="neighbour", plain_http=True
    ),
    "empty a slot's DLQ": Call(lambda may, at: may("sqs").purge_queue(QueueUrl=at.dlq)),
    "send to the failures": Call(lambda may, at: _send(at.failures, may)),
    "receive the failures": Call(lambda may, at: _receive(at.failures, may)),
    "send to what is lost": Call(lambda may, at: _send(at.lost, may)),
    "receive what is lost": Call(lambda may, at: _receive(at.lost, may)),
    "receive what the reaper failed at": Call(lambda may, at: _receive(at.unreaped, may)),
    "list the queues": Call(lambda may, at: may("sqs").list_queues()),
    "make a queue": Call(lambda may, at: may("sqs").create_queue(QueueName="made-by-nobody")),
    # The topic's own policy denies it to all but the forwarders.
    "publish a change": Call(lambda may, at: _publish(may, at.topic), allowed="lambda"),
    "publish a change over plain HTTP": Call(
        lambda may, at: _publish(may, at.topic), allowed="lambda", plain_http=True
    ),
    "publish an alarm": Call(lambda may, at: _publish(may, at.alarm_topic)),
    "subscribe to the changes": Call(
        lambda may, at: may("sns").subscribe(TopicArn=at.topic, Protocol="sqs", Endpoint=at.other_queue_arn)
    ),
    "let anyone publish": Call(
        lambda may, at: may("sns").set_topic_attributes(
            TopicArn=at.topic, AttributeName="Policy", AttributeValue=_anyone_may("sns:Publish", at.topic)
        ),
        destroys=True,
    ),
    "delete the topic": Call(lambda may, at: may("sns").delete_topic(TopicArn=at.topic), destroys=True),
    "scan the table": Call(lambda may, at: may("dynamodb").scan(TableName=at.table)),
    "get an item": Call(lambda may, at: may("dynamodb").get_item(TableName=at.table, Key=_item("a"))),
    "update an item": Call(lambda may, at: may("dynamodb").update_item(**_set(at.table, "a"))),
    "put an item": Call(lambda may, at: may("dynamodb").put_item(TableName=at.table, Item=_item("p"))),
    "delete an item": Call(lambda may, at: may("dynamodb").delete_item(TableName=at.table, Key=_item("p"))),
    "put items in a batch": Call(
        lambda may, at: may("dynamodb").batch_write_item(
            RequestItems={at.table: [{"PutRequest": {"Item": _item("p")}}]}
        )
    ),
    "insert an item by PartiQL": Call(
        lambda may, at: may("dynamodb").execute_statement(
            Statement=f"INSERT INTO \"{at.table}\" VALUE {{'id': 'partiql'}}"
        )
    ),
    "delete the table": Call(lambda may, at: may("dynamodb").delete_table(TableName=at.table), destroys=True),
    "list the tables": Call(lambda may, at: may("dynamodb").list_tables()),
    "scan another table": Call(lambda may, at: may("dynamodb").scan(TableName=at.other_table)),
    "get an item of another table": Call(
        lambda may, at: may("dynamodb").get_item(TableName=at.other_table, Key=_item("a"))
    ),
    "update an item of another table": Call(
        lambda may, at: may("dynamodb").update_item(**_set(at.other_table, "a"))
    ),
    "scan the leases": Call(lambda may, at: may("dynamodb").scan(TableName=at.leases)),
    "take a lease": Call(lambda may, at: may("dynamodb").update_item(**_lease(at))),
    "delete a lease": Call(
        lambda may, at: may("dynamodb").delete_item(TableName=at.leases, Key={"slot": {"S": "privilege"}})
    ),
    "read the stream": Call(_records),
    "stop a task": Call(
        lambda may, at: may("ecs").stop_task(cluster=at.cluster, task=at.task), destroys=True
    ),
    "stop a task of another cluster": Call(
        lambda may, at: may("ecs").stop_task(cluster=at.other_cluster, task=at.other_task), destroys=True
    ),
    "look at a task of another cluster": Call(
        lambda may, at: may("ecs").describe_tasks(cluster=at.other_cluster, tasks=[at.other_task])
    ),
    "start a task": Call(
        lambda may, at: may("ecs").run_task(
            cluster=at.cluster,
            taskDefinition=at.task_definition,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": at.subnets}},
        )
    ),
    "scale the service": Call(
        lambda may, at: may("ecs").update_service(cluster=at.cluster, service=at.service, desiredCount=2)
    ),
    "list the archive": Call(lambda may, at: may("s3").list_objects_v2(Bucket=at.archive)),
    "read an archived letter": Call(lambda may, at: may("s3").get_object(Bucket=at.archive, Key=at.letter)),
    "delete an archived letter": Call(
        lambda may, at: may("s3").delete_object(Bucket=at.archive, Key=at.letter), destroys=True
    ),
    "archive a letter": Call(lambda may, at: _archive("00/refused.json", may, at)),
    "archive a letter over plain HTTP": Call(
        lambda may, at: _archive("00/plain.json", may, at), allowed="reaper", plain_http=True
    ),
    "open the archive to the public": Call(
        lambda may, at: may("s3").delete_public_access_block(Bucket=at.archive), destroys=True
    ),
    "read the tasks' log": Call(lambda may, at: may("logs").filter_log_events(logGroupName=at.tasks_log)),
    "write the tasks' log": Call(lambda may, at: _log(at.tasks_log, may)),
    "write the function's log": Call(lambda may, at: _log(at.lambda_log, may)),
    "write the redriver's log": Call(lambda may, at: _log(at.redriver_log, may)),
    "write the reaper's log": Call(lambda may, at: _log(at.reaper_log, may)),
    "invoke the function": Call(
        lambda may, at: may("lambda").invoke(FunctionName=at.function, Payload='{"Records": []}')
    ),
    "change the function": Call(
        lambda may, at: may("lambda").update_function_configuration(FunctionName=at.function, Timeout=29)
    ),
    "stop the pipe": Call(lambda may, at: may("pipes").stop_pipe(Name=at.pipe), destroys=True),
    "switch an alarm off": Call(
        lambda may, at: may("cloudwatch").disable_alarm_actions(AlarmNames=[at.alarm])
    ),
    "encrypt by the alarms' key": Call(lambda may, at: may("kms").encrypt(KeyId=at.key, Plaintext=b"a")),
    "take on the tasks' role": Call(lambda may, at: _assume(may, at.task_role), allowed="tester"),
    "take on the function's role": Call(lambda may, at: _assume(may, at.lambda_role), allowed="tester"),
    "allow the tasks more": Call(
        lambda may, at: may("iam").put_role_policy(
            RoleName=at.task_role.rpartition("/")[2],
            PolicyName="more",
            PolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}],
                }
            ),
        ),
        destroys=True,
    ),
}

REFUSED: Mapping[str, Sequence[str]] = {
    "task": [
        "send to a slot's queue",
        "receive from a slot's queue over plain HTTP",
        "empty a slot's queue",
        "hide a message of a slot's queue",
        "change a slot's queue",
        "delete a slot's queue",
        "send to a slot's DLQ",
        "receive from a slot's DLQ",
        "empty a slot's DLQ",
        "send to the failures",
        "receive the failures",
        "list the queues",
        "make a queue",
        "publish a change",
        "publish an alarm",
        "subscribe to the changes",
        "delete the topic",
        "put an item",
        "delete an item",
        "put items in a batch",
        "insert an item by PartiQL",
        "delete the table",
        "list the tables",
        "scan another table",
        "get an item of another table",
        "scan the leases",
        "delete a lease",
        "read the stream",
        "stop a task",
        "start a task",
        "scale the service",
        "read an archived letter",
        "archive a letter",
        "read the tasks' log",
        "write the tasks' log",
        "invoke the function",
        "switch an alarm off",
        "take on the function's role",
        "allow the tasks more",
    ],
    "agent": [
        "receive from a slot's queue",
        "publish a change",
        "scan the table",
        "take a lease",
        "stop a task",
        "read the tasks' log",
        "write the function's log",
    ],
    "lambda": [
        "publish a change over plain HTTP",
        "publish an alarm",
        "let anyone publish",
        "send to a slot's queue",
        "receive from a slot's queue",
        "receive the failures",
        "send to what is lost",
        "scan the table",
        "get an item",
        "update an item",
        "scan the leases",
        "take a lease",
        "stop a task",
        "write the tasks' log",
        "write the redriver's log",
        "write the reaper's log",
        "change the function",
    ],
    "pipe": [
        "publish a change over plain HTTP",
        "publish an alarm",
        "let anyone publish",
        "send to a slot's queue",
        "receive from a slot's queue",
        "receive the failures",
        "send to what is lost",
        "scan the table",
        "get an item",
        "update an item",
        "scan the leases",
        "stop a task",
        "invoke the function",
        "stop the pipe",
    ],
    "redriver": [
        "publish a change over plain HTTP",
        "publish an alarm",
        "let anyone publish",
        "send to a slot's queue",
        "receive from a slot's queue",
        "receive from a slot's DLQ",
        "receive what is lost",
        "scan the table",
        "get an item",
        "update an item",
        "scan the leases",
        "stop a task",
        "write the function's log",
        "write the reaper's log",
        "invoke the function",
    ],
    "reaper": [
        "send to a slot's queue",
        "receive from a slot's queue",
        "send to a slot's DLQ",
        "receive from a slot's DLQ over plain HTTP",
        "empty a slot's DLQ",
        "receive the failures",
        "send to what is lost",
        "receive what the reaper failed at",
        "publish a change",
        "publish an alarm",
        "switch an alarm off",
        "scan the table",
        "get an item",
        "update an item",
        "delete an item",
        "delete a lease",
        "read the stream",
        "stop a task of another cluster",
        "look at a task of another cluster",
        "start a task",
        "scale the service",
        "list the archive",
        "read an archived letter",
        "delete an archived letter",
        "archive a letter over plain HTTP",
        "open the archive to the public",
        "read the tasks' log",
        "write the redriver's log",
        "invoke the function",
        "take on the tasks' role",
    ],
    "api": [
        "scan the table",
        "put an item",
        "put items in a batch",
        "update an item of another table",
        "delete the table",
        "take a lease",
        "read the stream",
        "publish a change",
        "send to a slot's queue",
        "stop a task",
        "write the function's log",
        "invoke the function",
    ],
    "writer": [
        "scan the table",
        "put an item",
        "put items in a batch",
        "update an item of another table",
        "delete the table",
        "take a lease",
        "read the stream",
        "publish a change",
        "send to a slot's queue",
        "stop a task",
    ],
    "neighbour": [
        "publish a change",
        "receive from a slot's queue over plain HTTP",
        "receive from a slot's DLQ over plain HTTP",
        "update an item",
        "scan the leases",
        "take on the tasks' role",
        "take on the function's role",
    ],
    "stranger": [
        "publish a change",
        "publish an alarm",
        "subscribe to the changes",
        "send to a slot's queue",
        "receive from a slot's queue",
        "receive from a slot's DLQ",
        "empty a slot's DLQ",
        "send to the failures",
        "receive what is lost",
        "scan the table",
        "get an item",
        "update an item",
        "scan the leases",
        "read the stream",
        "stop a task",
        "list the archive",
        "read an archived letter",
        "archive a letter",
        "read the tasks' log",
        "invoke the function",
        "encrypt by the alarms' key",
        "take on the tasks' role",
        "take on the function's role",
    ],
}
