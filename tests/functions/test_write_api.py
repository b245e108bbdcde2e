"""The write API from both sides, its resolvers (run by node) and its function, on the emulator's table."""

import importlib.util
import io
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.appsync import AppSyncEntry
from bench.errors import ExperimentError
from bench.writer import new_trace
from consumer.message import from_item, written_at_of
from local.emulator import Account

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("node") is None and not os.environ.get("CI"),
        reason="the emulator runs resolvers by node",
    ),
]

SOURCE = Path(__file__).parents[2] / "functions" / "write_api"
RUNTIME = {"name": "APPSYNC_JS", "runtimeVersion": "1.0.0"}
TABLE = "written"
TRACE, OTHER_TRACE = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")
WRITTEN_AT = 1_700_000_000_000


class RefusedError(Exception):
    """What a caller of the API is told."""


class Side(Protocol):
    """Either way to make the API's writes."""

    def __call__(self, field: str, **arguments: Any) -> Any: ...


class Resolvers:
    """The resolvers by AppSync's own EvaluateCode, and the requests that they make by the table's client.

    With `parsed`, AWSJSON comes to them as AppSync hands it over; else as text.
    """

    def __init__(self, account: Account, *, parsed: bool) -> None:
        self._appsync, self._dynamodb = account.client("appsync"), account.client("dynamodb")
        self._parsed = parsed

    def __call__(self, field: str, **arguments: Any) -> Any:
        if self._parsed and "attributes" in arguments:
            arguments["attributes"] = json.loads(arguments["attributes"])
        code = (SOURCE / f"{field}.js").read_text()
        request = self._evaluate(code, "request", {"arguments": arguments})
        result = self._on_the_table(**request)
        return self._evaluate(code, "response", {"arguments": arguments, "result": result})

    def _evaluate(self, code: str, function: str, context: dict[str, Any]) -> Any:
        answer = self._appsync.evaluate_code(
            runtime=RUNTIME, code=code, context=json.dumps(context), function=function
        )
        if "error" in answer:
            raise RefusedError(answer["error"]["message"])
        return json.loads(answer["evaluationResult"])

    def _on_the_table(
        self,
        operation: str,
        key: dict[str, Any],
        update: dict[str, Any] | None = None,
        consistentRead: bool = False,  # noqa: N803 (AppSync's name)
        projection: dict[str, Any] | None = None,
    ) -> Any:
        of = {"TableName": TABLE, "Key": key}
        match operation:
            case "UpdateItem":
                assert update
                item = self._dynamodb.update_item(
                    **of,
                    UpdateExpression=update["expression"],
                    ExpressionAttributeNames=update["expressionNames"],
                    ExpressionAttributeValues=update["expressionValues"],
                    ReturnValues="ALL_NEW",
                )["Attributes"]
            case "DeleteItem":
                item = self._dynamodb.delete_item(**of, ReturnValues="ALL_OLD").get("Attributes")
            case "GetItem":
                assert projection and consistentRead
                item = self._dynamodb.get_item(
                    **of,
                    ConsistentRead=consistentRead,
                    ProjectionExpression=projection["expression"],
                    ExpressionAttributeNames=projection["expressionNames"],
                ).get("Item")
            case _:
                raise AssertionError(operation)
        plain = TypeDeserializer().deserialize
        return item and json.loads(
            json.dumps({name: plain(value) for name, value in item.items()}, default=int)
        )


class Function:
    """The function, as `function.js` calls it."""

    def __init__(self, account: Account) -> None:
        specification = importlib.util.spec_from_file_location("write_api_handler", SOURCE / "handler.py")
        assert specification and specification.loader
        self._handler = importlib.util.module_from_spec(specification)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**account.environment(), "TABLE": TABLE}.items():
                patch.setenv(name, value)
            specification.loader.exec_module(self._handler)

    def __call__(self, field: str, **arguments: Any) -> Any:
        told = json.loads(json.dumps({"field": field, "arguments": arguments}))
        answer = self._handler.handle(told, None)
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        return answer["answer"]


@pytest.fixture(scope="module")
def table(emulator: Any) -> Any:
    """The emulator's client of tables, and one table with a stream."""
    dynamodb = emulator.account.client("dynamodb")
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return dynamodb


@pytest.fixture(scope="module")
def sides(emulator: Any, table: Any) -> dict[str, Side]:
    return {
        "resolvers": Resolvers(emulator.account, parsed=True),
        "resolvers, text": Resolvers(emulator.account, parsed=False),
        "function": Function(emulator.account),
    }


@pytest.fixture(params=["resolvers", "resolvers, text", "function"])
def side(request: pytest.FixtureRequest, sides: dict[str, Side], table: Any) -> Iterator[Side]:
    yield sides[request.param]
    for item in table.scan(TableName=TABLE)["Items"]:
        table.delete_item(TableName=TABLE, Key={"id": item["id"]})


def item(table: Any, item_id: str = "a") -> dict[str, Any]:
    return table.get_item(TableName=TABLE, Key={"id": {"S": item_id}}, ConsistentRead=True).get("Item", {})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_put_makes_an_item_that_tasks_understand(side: Side, table: Any) -> None:
    before = now_ms()
    attributes = '{"price": 0.5, "open": true, "names": ["a", null], "of": {"b": -3}, "version of": ""}'
    change = side("put", id="a", attributes=attributes, writtenAt=WRITTEN_AT, traceparent=TRACE)

    assert change["id"] == "a"
    assert before < change["version"] <= now_ms() + 1, "the version's floor is the API's clock"
    made = item(table)
    assert made == {
        "id": {"S": "a"},
        "version": {"N": str(change["version"])},
        "writtenAt": {"N": str(WRITTEN_AT)},
        "traceparent": {"S": TRACE},
        "price": {"N": "0.5"},
        "open": {"BOOL": True},
        "names": {"L": [{"S": "a"}, {"NULL": True}]},
        "of": {"M": {"b": {"N": "-3"}}},
        "version of": {"S": ""},
    }
    understood = from_item(made)
    assert understood and understood.version == change["version"]
    assert written_at_of(understood) == WRITTEN_AT


def test_a_second_put_merges_takes_away_what_is_null_and_is_one_version_on(side: Side, table: Any) -> None:
    first = side("put", id="a", attributes='{"price": 1, "old": 2, "kept": 3}', traceparent=TRACE)
    second = side("put", id="a", attributes='{"price": 4, "old": null}', traceparent=OTHER_TRACE)

    assert second["version"] == first["version"] + 1
    made = item(table)
    assert made.keys() == {"id", "version", "writtenAt", "traceparent", "price", "kept"}
    assert (made["price"], made["kept"]) == ({"N": "4"}, {"N": "3"})
    assert made["traceparent"] == {"S": OTHER_TRACE}


@pytest.mark.parametrize("left_out", [{}, {"writtenAt": None, "traceparent": None}])
def test_without_a_clock_of_the_writers_it_is_the_apis_and_no_trace_is_the_last_writes(
    side: Side, table: Any, left_out: dict[str, Any]
) -> None:
    side("put", id="a", attributes="{}", writtenAt=WRITTEN_AT, traceparent=TRACE)
    before = now_ms()
    side("put", id="a", attributes="{}", **left_out)

    made = item(table)
    assert before <= int(made["writtenAt"]["N"]) <= now_ms()
    assert "traceparent" not in made


def test_a_delete_is_one_version_above_what_it_deleted(side: Side, table: Any) -> None:
    put = side("put", id="a", attributes="{}")

    assert side("delete", id="a") == {"id": "a", "version": put["version"] + 1}
    assert item(table) == {}
    assert side("delete", id="a") is None, "there was nothing to delete"


def test_a_recreated_item_is_above_its_delete_whatever_the_writers_clock_says(side: Side) -> None:
    side("put", id="a", attributes="{}")
    deleted = side("delete", id="a")
    time.sleep(0.005)  # a version a millisecond is what the floor is good for
    assert side("put", id="a", attributes="{}", writtenAt=1)["version"] > deleted["version"]


def test_the_version_of_an_item_can_be_asked_for(side: Side) -> None:
    assert side("version", id="a") is None
    put = side("put", id="a", attributes="{}")
    assert side("version", id="a") == put["version"]


SYSTEM = "'statecast:watermark:3': ids that begin with statecast: are the system's"
CLOCK = "writtenAt is not a whole number of Unix milliseconds"
CONTEXT = "traceparent is not a W3C trace context"
NO_OBJECT = "attributes is not a JSON object"
RESERVED = "attributes names {}, which is the system's"


@pytest.mark.parametrize(
    ("field", "arguments", "reason"),
    [
        ("put", {"id": "statecast:watermark:3"}, SYSTEM),
        ("delete", {"id": "statecast:watermark:3"}, SYSTEM),
        ("version", {"id": "statecast:watermark:3"}, SYSTEM),
        ("put", {"writtenAt": -1}, CLOCK),
        ("put", {"writtenAt": 1.5}, CLOCK),
        ("put", {"writtenAt": 1e300}, CLOCK),
        ("put", {"traceparent": "00-abc"}, CONTEXT),
        ("put", {"traceparent": TRACE.upper()}, CONTEXT),
        ("put", {"attributes": "[]"}, NO_OBJECT),
        ("put", {"attributes": "1"}, NO_OBJECT),
        ("put", {"attributes": "null"}, NO_OBJECT),
        *(
            ("put", {"attributes": f'{{"{name}": 1}}'}, RESERVED.format(name))
            for name in ("id", "version", "writtenAt", "traceparent")
        ),
        ("put", {"attributes": '{"version": null}'}, RESERVED.format("version")),
    ],
)
def test_what_would_break_the_tables_rules_is_refused_with_the_reason_and_changes_nothing(
    side: Side, table: Any, field: str, arguments: dict[str, Any], reason: str
) -> None:
    given = {"id": "a", **({"attributes": "{}"} if field == "put" else {}), **arguments}
    with pytest.raises(RefusedError, match=f"^{re.escape(reason)}$"):
        side(field, **given)
    assert table.scan(TableName=TABLE)["Count"] == 0


NUMBERS = st.integers(-(10**9), 10**9) | st.integers(-999, 999).map(lambda number: number + 0.5)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = TEXT.filter(lambda name: name and name not in {"id", "version", "writtenAt", "traceparent"})
PUTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(puts=PUTS)
def test_both_sides_make_the_same_item_of_the_same_arguments(
    sides: dict[str, Side], table: Any, puts: list[dict[str, Any]]
) -> None:
    made: dict[str, Any] = {}
    for name, side in sides.items():
        changes = [
            side("put", id=name, attributes=json.dumps(attributes), writtenAt=WRITTEN_AT, traceparent=TRACE)
            for attributes in puts
        ]
        made[name] = item(table, name)
        assert int(made[name].pop("version")["N"]) == changes[0]["version"] + len(puts) - 1
        assert side("delete", id=name)["version"] == changes[-1]["version"] + 1
        del made[name]["id"]
    assert made["resolvers"] == made["resolvers, text"] == made["function"]


# https://docs.aws.amazon.com/appsync/latest/devguide/supported-features.html; node runs more than AppSync.
UNSUPPORTED = (
    r"\b(async|await|catch|class|continue|do|finally|import\(|in|new|this|throw|try|while|yield)\b|\+\+|--|~"
)


@pytest.mark.parametrize("resolver", sorted(SOURCE.glob("*.js")), ids=lambda path: path.name)
def test_a_resolver_uses_nothing_that_appsync_does_not_run(resolver: Path) -> None:
    code = re.sub(r"//.*|'[^']*'|`[^`]*`", "", resolver.read_text())
    assert re.findall(UNSUPPORTED, code) == []
    assert not re.search(r"for \([^)]*;|=\s*/", code), (
        "no loop by counter, no literal of a regular expression"
    )


@pytest.fixture(scope="module")
def api(emulator: Any, table: Any) -> SimpleNamespace:
    """The whole API as an emulator takes it, and the stack that `bench` would find."""
    account: Account = emulator.account
    appsync, functions = account.client("appsync"), account.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.write(SOURCE / "handler.py", "handler.py")
    role = "arn:aws:iam::000000000000:role/any"
    function = functions.create_function(
        FunctionName="write-api",
        Runtime="python3.13",
        Role=role,
        Handler="handler.handle",
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": {"TABLE": TABLE}},
    )["FunctionArn"]
    made = appsync.create_graphql_api(name="write-api", authenticationType="AWS_IAM")["graphqlApi"]
    api_id = made["apiId"]
    appsync.start_schema_creation(apiId=api_id, definition=(SOURCE / "schema.graphql").read_bytes())
    appsync.create_data_source(
        apiId=api_id,
        name="function",
        type="AWS_LAMBDA",
        serviceRoleArn=role,
        lambdaConfig={"lambdaFunctionArn": function},
    )
    for type_name, field in (("Mutation", "put"), ("Mutation", "delete"), ("Query", "version")):
        appsync.create_resolver(
            apiId=api_id,
            typeName=type_name,
            fieldName=field,
            dataSourceName="function",
            runtime=RUNTIME,
            code=(SOURCE / "function.js").read_text(),
        )
    return SimpleNamespace(
        name="local",
        region=account.region,
        endpoint=account.endpoint,
        credentials=SimpleNamespace(access_key="test", secret_key="test", token=None),
        outputs=SimpleNamespace(api_url=made["uris"]["GRAPHQL"]),
    )


def test_a_signed_call_of_the_api_is_a_write_that_the_stream_tells(api: Any, table: Any) -> None:
    entry, trace = AppSyncEntry(api), new_trace()
    version = entry.put("bench:1", 5, WRITTEN_AT, trace)

    made = item(table, "bench:1")
    assert made == {
        "id": {"S": "bench:1"},
        "traceparent": {"S": trace},
        "version": {"N": str(version)},
        "writtenAt": {"N": str(WRITTEN_AT)},
        "value": {"N": "5"},
    }
    assert entry.delete("bench:1") == version + 1
    with pytest.raises(ExperimentError, match="there was no item bench:1 to delete"):
        entry.delete("bench:1")
    with pytest.raises(ExperimentError, match=f"^AppSync: {re.escape(SYSTEM)}$"):
        entry.put("statecast:watermark:3", 5, WRITTEN_AT, trace)
