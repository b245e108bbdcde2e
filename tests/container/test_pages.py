import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from consumer.message import Change, from_item
from consumer.pages import give_changes, parse
from tests.container.messages import image

VALUES = st.recursive(
    st.text().map(lambda of: {"S": of})
    | st.integers().map(lambda of: {"N": str(of)})
    | st.just({"NULL": True})
    | st.just({"B": "AAEC"}),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda of: {"L": of})
        | st.dictionaries(st.sampled_from(["id", "version", "Items", "é"]), inner).map(lambda of: {"M": of})
    ),
    max_leaves=6,
)
ITEMS = st.lists(
    st.builds(
        lambda item_id, version, value: (
            {"id": {"S": item_id}, "value": value} | ({"version": {"N": str(version)}} if version else {})
        ),
        st.text(min_size=1),
        st.none() | st.integers(1, 10**18),
        VALUES,
    ),
    max_size=5,
)
LAST = {"LastEvaluatedKey": {"id": {"S": "Items"}}}


@given(ITEMS, st.booleans(), st.sampled_from([None, 0, 2]), st.booleans())
def test_a_page_is_read_as_json_is_however_it_is_written(
    items: list[Any], last: bool, indent: int | None, ascii_only: bool
) -> None:
    rest = {"Count": len(items), "ScannedCount": 7} | (LAST if last else {})
    answers = [{**rest, "Items": items}, {"Items": items, **rest}]
    for answer in answers:
        text = json.dumps(answer, indent=indent, ensure_ascii=ascii_only)
        wanted = [from_item(item) for item in items if not item["id"]["S"].startswith("statecast:")]
        assert parse(f" {text}\n") == (rest, wanted)


def test_the_system_s_own_are_left_out_and_one_without_a_version_is_none() -> None:
    items = [image("a", 1), image("statecast:watermark:1", 5), {"id": {"S": "unversioned"}}]
    _, changes = parse(json.dumps({"Items": items}))
    assert changes == [from_item(image("a", 1)), None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"Count":1}',
        '{"Items":{}}',
        '{"Items":[',
        '{"Items":[{"id":{"S":"a"}}',
        '{"Items":[] ',
        '{"Items":[]"Count":0}',
        '{"Items":[{"id":{"S":"a"}}{"id":{"S":"b"}}]}',
        '{"Items" []}',
    ],
)
def test_what_is_no_page_is_refused_and_never_an_empty_table(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


class Raw:
    """The body of an answer as urllib3 gives it."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self) -> Any:
        yield self.body


def client(status: int, body: dict[str, Any]) -> Any:
    made = boto3.client(
        "dynamodb",
        region_name="eu-south-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    text = json.dumps(body).encode()
    headers = {"content-type": "application/x-amz-json-1.0"}
    made.meta.events.register(
        "before-send.dynamodb", lambda **_: AWSResponse("http://any", status, headers, Raw(text))
    )
    return made


def test_a_client_gives_changes_and_all_else_as_ever() -> None:
    items = [image("a", 1, blob={"B": "AAEC"}, blobs={"BS": ["AA=="]}), image("statecast:watermark:0", 3)]
    body = {"Items": items, "Count": 2, "ScannedCount": 2, **LAST}
    ours, plain = client(200, body), client(200, body)
    give_changes(ours)
    page, whole = (of.scan(TableName="table") for of in (ours, plain))
    assert page.pop("Items") == [from_item(item) for item in whole.pop("Items")[:1]]
    assert page == whole
    assert page["LastEvaluatedKey"] == LAST["LastEvaluatedKey"]
    item = client(200, {"Item": items[0]})
    give_changes(item)
    assert from_item(item.get_item(TableName="table", Key={"id": {"S": "a"}})["Item"]) == Change(
        "a", 1, json.dumps(items[0], separators=(",", ":"))
    )


def test_an_error_is_raised_as_ever() -> None:
    ours = client(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow"})
    give_changes(ours)
    with pytest.raises(ClientError, match="ThrottlingException"):
        ours.scan(TableName="table")
