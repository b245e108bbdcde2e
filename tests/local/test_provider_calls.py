import io
import os
import zipfile
from pathlib import Path
from typing import Any

import boto3
import jmespath
import pytest
from botocore.model import StructureShape

from local.provider.archive import zipped
from local.provider.calls import outputs, parameters
from local.provider.kinds import kinds
from local.provider.sdk import resource_type

SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET, ARCHIVE = "c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"


def shape(service: str, operation: str) -> StructureShape:
    create: Any = boto3.client
    client = create(service, region_name="eu-south-1")
    return client.meta.service_model.operation_model(operation).input_shape


def made(service: str, operation: str, token: str, **properties: Any) -> dict[str, Any]:
    """The parameters of a call by the tables."""
    state = {"region": "eu-south-1", "label": kinds()[token].label} | properties
    return parameters(shape(service, operation), state, kinds()[token].members, token.rsplit(":", 1)[1])


def test_members_are_found_with_and_without_the_type_in_front() -> None:
    assert made("logs", "CreateLogGroup", "aws:cloudwatch/logGroup:LogGroup", name="g", kmsKeyId="k") == {
        "logGroupName": "g",
        "kmsKeyId": "k",
    }


def test_attributes_are_strings_and_those_left_out_are_not_sent() -> None:
    call = made(
        "sqs", "CreateQueue", "aws:sqs/queue:Queue", name="q", delaySeconds=5, sqsManagedSseEnabled=True
    )

    assert call == {"QueueName": "q", "Attributes": {"DelaySeconds": "5", "SqsManagedSseEnabled": "true"}}


def test_tags_take_the_form_that_each_service_wants() -> None:
    tags = {"team": "a"}

    assert made("sqs", "CreateQueue", "aws:sqs/queue:Queue", tags=tags)["tags"] == {"team": "a"}
    assert made("sns", "CreateTopic", "aws:sns/topic:Topic", tags=tags)["Tags"] == [
        {"Key": "team", "Value": "a"}
    ]
    assert made("kms", "CreateKey", "aws:kms/key:Key", tags=tags)["Tags"] == [
        {"TagKey": "team", "TagValue": "a"}
    ]
    assert made("ecs", "CreateCluster", "aws:ecs/cluster:Cluster", tags=tags)["tags"] == [
        {"key": "team", "value": "a"}
    ]
    assert made("ec2", "CreateVpc", "aws:ec2/vpc:Vpc", tags=tags)["TagSpecifications"] == [
        {"ResourceType": "vpc", "Tags": [{"Key": "team", "Value": "a"}]}
    ]


def test_dimensions_are_pairs_and_actions_match_whatever_the_case() -> None:
    call = made(
        "cloudwatch",
        "PutMetricAlarm",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        name="a",
        dimensions={"QueueName": "q"},
        okActions=["arn"],
        threshold=0,
    )

    assert call == {
        "AlarmName": "a",
        "Dimensions": [{"Name": "QueueName", "Value": "q"}],
        "OKActions": ["arn"],
        "Threshold": 0,
    }


def test_nested_blocks_and_plurals_are_matched() -> None:
    call = made(
        "pipes",
        "CreatePipe",
        "aws:pipes/pipe:Pipe",
        name="p",
        sourceParameters={
            "dynamodbStreamParameters": {"batchSize": 10, "deadLetterConfig": {"arn": "dlq"}},
        },
        logConfiguration={"level": "ERROR", "includeExecutionDatas": ["ALL"]},
    )

    assert call == {
        "Name": "p",
        "SourceParameters": {
            "DynamoDBStreamParameters": {"BatchSize": 10, "DeadLetterConfig": {"Arn": "dlq"}}
        },
        "LogConfiguration": {"Level": "ERROR", "IncludeExecutionData": ["ALL"]},
    }


def test_a_json_document_becomes_what_the_call_wants() -> None:
    call = made(
        "ecs",
        "RegisterTaskDefinition",
        "aws:ecs/taskDefinition:TaskDefinition",
        family="f",
        containerDefinitions='[{"name": "c", "readonlyRootFilesystem": true}]',
    )

    assert call == {
        "family": "f",
        "containerDefinitions": [{"name": "c", "readonlyRootFilesystem": True}],
    }


def test_a_table_is_described_by_its_keys_and_attributes() -> None:
    call = made(
        "dynamodb",
        "CreateTable",
        "aws:dynamodb/table:Table",
        name="t",
        hashKey="id",
        attributes=[{"name": "id", "type": "S"}],
        streamEnabled=True,
        streamViewType="NEW_AND_OLD_IMAGES",
        serverSideEncryption={"enabled": True},
    )

    assert call == {
        "TableName": "t",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "SSESpecification": {"Enabled": True, "SSEType": "KMS"},
    }


def test_a_service_gets_its_network_and_deployment_blocks() -> None:
    call = made(
        "ecs",
        "CreateService",
        "aws:ecs/service:Service",
        name="s",
        cluster="c",
        networkConfiguration={"subnets": ["n"], "securityGroups": ["g"], "assignPublicIp": False},
        deploymentMaximumPercent=200,
        deploymentCircuitBreaker={"enable": True, "rollback": True},
    )

    assert call == {
        "serviceName": "s",
        "cluster": "c",
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": ["n"], "securityGroups": ["g"], "assignPublicIp": "DISABLED"}
        },
        "deploymentConfiguration": {
            "maximumPercent": 200,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
    }


def test_an_answer_gives_the_properties_in_the_form_that_the_sdk_declares() -> None:
    function = resource_type("aws:lambda/function:Function")
    answer = {
        "FunctionName": "f",
        "FunctionArn": "arn",
        "CodeSha256": "hash",
        "MemorySize": "128",
        "Architectures": ["arm64"],
        "TracingConfig": {"Mode": "PassThrough"},
        "Layers": "not a list",
        "Tags": {"not": "read"},
        "NoSuchProperty": 1,
    }

    assert outputs(function, answer) == {
        "name": "f",
        "arn": "arn",
        "codeSha256": "hash",
        "memorySize": 128.0,
        "architectures": ["arm64"],
        "tracingConfig": {"mode": "PassThrough"},
    }


def test_every_expression_of_the_tables_is_jmespath() -> None:
    for token, kind in kinds().items():
        steps = (*kind.settings, *kind.updates, *kind.lookups, *kind.delete)
        for call in (kind, *(each for each in (kind.create, kind.read, *steps) if each)):
            for expression in call.members.values():
                jmespath.compile(expression)
        for lookup in kind.lookups:
            assert all(jmespath.compile(expression) for expression in lookup.outputs.values()), token
        assert all(jmespath.compile(expression) for expression in kind.outputs.values()), token
        assert jmespath.compile(kind.thing), token


def asset(**content: str) -> dict[str, str]:
    return {SIGNATURE: ASSET, "hash": "h", **content}


def archive(**content: Any) -> dict[str, Any]:
    return {SIGNATURE: ARCHIVE, "hash": "h", **content}


def files(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        return {name: found.read(name) for name in found.namelist()}


def test_a_folder_is_zipped_without_bytecode_and_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "inner" / "__pycache__").mkdir(parents=True)
    (tmp_path / "inner" / "__pycache__" / "handler.pyc").write_bytes(b"compiled")
    (tmp_path / "inner" / "data.txt").write_text("data")
    (tmp_path / "handler.py").write_text("code")
    folder = archive(path=str(tmp_path))
    first = zipped(folder)
    os.utime(tmp_path / "handler.py", (2_000_000_000, 2_000_000_000))

    assert files(first) == {"handler.py": b"code", "inner/data.txt": b"data"}
    assert zipped(folder) == first
    with zipfile.ZipFile(io.BytesIO(first)) as found:
        assert {entry.date_time for entry in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_assets_are_zipped_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.py").write_text("b")
    assets = {
        "z.txt": asset(text="z"),
        "a.py": asset(path=str(tmp_path / "a.py")),
        "sub": archive(path=str(tmp_path / "folder")),
    }

    assert files(zipped(archive(assets=assets))) == {"a.py": b"a", "sub/b.py": b"b", "z.txt": b"z"}


def test_a_zip_is_taken_as_it_is(tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    packed.write_bytes(zipped(archive(assets={"a.py": asset(text="a")})))

    assert files(zipped(archive(path=str(packed)))) == {"a.py": b"a"}


def test_an_archive_from_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="give it a path"):
        zipped(archive(uri="https://example.com/a.zip"))
