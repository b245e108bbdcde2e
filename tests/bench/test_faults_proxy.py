from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.faults import proxy

NOWHERE = "http://127.0.0.1:1"


def client(url: str) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="eu-south-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def code_of_a_call(url: str) -> str:
    with pytest.raises(ClientError) as failed:
        client(url).list_queues()
    return failed.value.response["Error"]["Code"]


def test_a_rule_hits_calls_while_it_lasts_and_counts_them() -> None:
    with proxy.started(NOWHERE) as through:
        with through.rule(service="sqs", error={"code": "RequestThrottled", "status": 400}) as hits:
            assert code_of_a_call(through.url) == "AWS.SimpleQueueService.RequestThrottled"
            assert code_of_a_call(through.url) == "AWS.SimpleQueueService.RequestThrottled"
        assert hits == [2]
        assert code_of_a_call(through.url) == "502"  # it goes on to what it stands before
        with through.rule(service="sns", error={"code": "InternalError", "status": 500}) as other:
            code_of_a_call(through.url)
        assert other == []
        assert through.calls("sqs") == 4
