import json
from typing import Any

import pytest

from components.state_table import StateTable, StateTableArgs
from components.write_api import WriteApi, WriteApiArgs
from tests.program.conftest import CHECKOUT, Evaluation, evaluate

SOURCE = CHECKOUT / "functions" / "write_api"
API, KEY = "aws:appsync/graphQLApi:GraphQLApi", "aws:appsync/apiKey:ApiKey"
DATA_SOURCE, RESOLVER = "aws:appsync/dataSource:DataSource", "aws:appsync/resolver:Resolver"
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
LOG_GROUP, FUNCTION = "aws:cloudwatch/logGroup:LogGroup", "aws:lambda/function:Function"
FIELDS = {"put": "Mutation", "delete": "Mutation", "version": "Query"}
WRITING = {
    "Effect": "Allow",
    "Action": ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:GetItem"],
    "Resource": "arn:aws:dynamodb:eu-south-1:123456789012:state",
    "Condition": {"ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": ["statecast:*"]}},
}


def write_api(through: Any = "table", api_key_expires: str = "") -> Evaluation:
    def program() -> None:
        table = StateTable("state", StateTableArgs(deletion_protection=False))
        args = WriteApiArgs(
            table=table, through=through, api_key_expires=api_key_expires, log_retention_days=14
        )
        WriteApi("api", args)

    return evaluate(program)


def children(made: Evaluation) -> set[tuple[str, str, str]]:
    return {child for child in made.children if "state" not in {child[0], child[2]}}


def statements(made: Evaluation, role: str) -> Any:
    return json.loads(made[ROLE_POLICY, f"{role}-policy"].inputs["policy"])["Statement"]


COMMON = {
    ("statecast-test", "statecast:components:WriteApi", "api"),
    ("api", API, "api"),
    ("api", LOG_GROUP, "api-logs"),
    ("api", "statecast:components:ServiceRole", "api-logs-role"),
    ("api-logs-role", ROLE, "api-logs-role"),
    ("api-logs-role", ROLE_POLICY, "api-logs-role-policy"),
    ("api", DATA_SOURCE, "api-source"),
    ("api", "statecast:components:ServiceRole", "api-role"),
    ("api-role", ROLE, "api-role"),
    ("api-role", ROLE_POLICY, "api-role-policy"),
    *(("api", RESOLVER, f"api-{field}") for field in FIELDS),
}


def test_an_api_on_the_table_is_resolvers_and_two_roles() -> None:
    assert children(write_api()) == COMMON


def test_an_api_through_a_function_has_that_function_besides() -> None:
    assert children(write_api("function")) == COMMON | {
        ("api", "statecast:components:LambdaFunction", "api-function"),
        ("api-function", LOG_GROUP, "api-function-logs"),
        ("api-function", "statecast:components:ServiceRole", "api-function-role"),
        ("api-function-role", ROLE, "api-function-role"),
        ("api-function-role", ROLE_POLICY, "api-function-role-policy"),
        ("api-function", FUNCTION, "api-function"),
    }


def test_callers_sign_by_iam_and_what_they_write_is_not_logged() -> None:
    made = write_api()

    assert made[API, "api"].inputs == {
        "authenticationType": "AWS_IAM",
        "schema": (SOURCE / "schema.graphql").read_text(),
        "logConfig": {
            "cloudwatchLogsRoleArn": "arn:aws:iam:eu-south-1:123456789012:api-logs-role",
            "fieldLogLevel": "ERROR",
            "excludeVerboseContent": True,
        },
    }
    assert made.of(KEY) == []


def test_a_key_is_only_there_if_asked_for_and_then_all_types_admit_it() -> None:
    made = write_api(api_key_expires="2027-01-31T00:00:00Z")

    assert made[KEY, "api-key"].inputs["apiId"] == "api-id"
    assert made[KEY, "api-key"].inputs["expires"] == "2027-01-31T00:00:00Z"
    inputs = made[API, "api"].inputs
    assert inputs["authenticationType"] == "AWS_IAM"
    assert inputs["additionalAuthenticationProviders"] == [{"authenticationType": "API_KEY"}]
    for name in ("Mutation", "Query", "Change"):
        assert f"\ntype {name} @aws_iam @aws_api_key {{" in inputs["schema"]


def test_the_log_is_appsyncs_for_this_api_and_it_may_write_no_other() -> None:
    made = write_api()

    assert made[LOG_GROUP, "api-logs"].inputs == {
        "name": "/aws/appsync/apis/api-id",
        "retentionInDays": 14,
    }
    assert statements(made, "api-logs-role") == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "arn:aws:cloudwatch:eu-south-1:123456789012:/aws/appsync/apis/api-id:*",
        }
    ]
    for role in ("api-role", "api-logs-role"):
        assert json.loads(made[ROLE, role].inputs["assumeRolePolicy"])["Statement"] == [
            {
                "Effect": "Allow",
                "Principal": {"Service": "appsync.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
            }
        ]


def test_straight_on_the_table_appsync_may_write_the_users_items_and_nothing_else() -> None:
    made = write_api()

    assert made[DATA_SOURCE, "api-source"].inputs == {
        "apiId": "api-id",
        "name": "table",
        "type": "AMAZON_DYNAMODB",
        "serviceRoleArn": "arn:aws:iam:eu-south-1:123456789012:api-role",
        "dynamodbConfig": {"tableName": "state"},
    }
    assert statements(made, "api-role") == [WRITING]


def test_through_a_function_that_may_write_them_and_appsync_calls_it() -> None:
    made = write_api("function")

    function = "arn:aws:lambda:eu-south-1:123456789012:api-function"
    assert made[DATA_SOURCE, "api-source"].inputs == {
        "apiId": "api-id",
        "name": "function",
        "type": "AWS_LAMBDA",
        "serviceRoleArn": "arn:aws:iam:eu-south-1:123456789012:api-role",
        "lambdaConfig": {"functionArn": function},
    }
    assert statements(made, "api-role") == [
        {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": function}
    ]
    assert statements(made, "api-function-role")[0] == WRITING
    inputs = made[FUNCTION, "api-function"].inputs
    assert inputs["environment"] == {"variables": {"TABLE": "state"}}
    assert inputs["reservedConcurrentExecutions"] == 10
    assert set(inputs["code"].assets) == {"handler.py"}


@pytest.mark.parametrize("through", ["table", "function"])
def test_each_field_of_the_schema_has_its_resolver(through: str) -> None:
    made = write_api(through)

    for field, type_name in FIELDS.items():
        code = SOURCE / (f"{field}.js" if through == "table" else "function.js")
        assert made[RESOLVER, f"api-{field}"].inputs == {
            "apiId": "api-id",
            "type": type_name,
            "field": field,
            "dataSource": through,
            "runtime": {"name": "APPSYNC_JS", "runtimeVersion": "1.0.0"},
            "code": code.read_text(),
        }
    assert len(made.of(RESOLVER)) == len(FIELDS)
