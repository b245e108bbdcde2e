"""Where writes enter: a GraphQL API that keeps to the version rule of docs/message.md."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.lambda_function import FUNCTIONS, LambdaFunction, LambdaFunctionArgs
from components.policy_document import Statement, allow
from components.service_role import ServiceRole, ServiceRoleArgs
from components.state_table import StateTable

SOURCE = FUNCTIONS / "write_api"
FIELDS: Mapping[str, Sequence[str]] = {"Mutation": ("put", "delete"), "Query": ("version",)}
RUNTIME: aws.appsync.ResolverRuntimeArgsDict = {"name": "APPSYNC_JS", "runtime_version": "1.0.0"}
# Of writes through a function; beyond it AppSync tells its callers that the function is throttled.
CONCURRENT_WRITES = 10


@dataclass(frozen=True, kw_only=True)
class WriteApiArgs:
    """What a WriteApi is made of."""

    table: StateTable  # the table that takes the writes
    # Who makes them: AppSync itself, or a function. Either makes the same item of the same arguments.
    through: Literal["table", "function"]
    api_key_expires: str  # when an API key ends, RFC 3339; empty for none: then callers sign by IAM alone
    log_retention_days: pulumi.Input[int]  # how long its logs are kept


class WriteApi(pulumi.ComponentResource):
    """An API whose callers sign by IAM, to put and delete items as every writer should."""

    api_id: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: WriteApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:WriteApi", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        schema = (SOURCE / "schema.graphql").read_text()
        if args.api_key_expires:
            # Without a directive a type is for the first way to sign in alone.
            schema = re.sub(r"^type \w+", r"\g<0> @aws_iam @aws_api_key", schema, flags=re.MULTILINE)
        logs_role = ServiceRole(
            f"{name}-logs-role",
            ServiceRoleArgs(service="appsync.amazonaws.com", statements=None),
            opts=child_opts,
        )
        api = aws.appsync.GraphQLApi(
            name,
            authentication_type="AWS_IAM",
            additional_authentication_providers=[{"authentication_type": "API_KEY"}]
            if args.api_key_expires
            else None,
            schema=schema,
            log_config={
                "cloudwatch_logs_role_arn": logs_role.arn,
                "field_log_level": "ERROR",
                # Else the log holds what was written.
                "exclude_verbose_content": True,
            },
            opts=child_opts,
        )
        # AppSync names the group by the API, and would keep for ever what it logs in one of its own making.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=pulumi.Output.format("/aws/appsync/apis/{0}", api.id),
            retention_in_days=args.log_retention_days,
            opts=child_opts,
        )
        # What AWS's own policy for this allows, on this group alone: AWSAppSyncPushToCloudWatchLogs.
        logging = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
        logs_role.permit([allow(logging, pulumi.Output.format("{0}:*", logs.arn))])
        if args.api_key_expires:
            aws.appsync.ApiKey(f"{name}-key", api_id=api.id, expires=args.api_key_expires, opts=child_opts)
        source = (_table if args.through == "table" else _function)(name, args, api.id, child_opts)
        for type_name, fields in FIELDS.items():
            for field in fields:
                code = SOURCE / f"{field if args.through == 'table' else 'function'}.js"
                aws.appsync.Resolver(
                    f"{name}-{field}",
                    api_id=api.id,
                    type=type_name,
                    field=field,
                    data_source=source.name,
                    runtime=RUNTIME,
                    code=code.read_text(),
                    opts=child_opts,
                )

        self.api_id = api.id
        self.url = api.uris["GRAPHQL"]
        self.register_outputs({"url": self.url})


def _table(
    name: str, args: WriteApiArgs, api_id: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> aws.appsync.DataSource:
    role = ServiceRole(
        f"{name}-role",
        ServiceRoleArgs(service="appsync.amazonaws.com", statements=[_writing(args)]),
        opts=opts,
    )
    return aws.appsync.DataSource(
        f"{name}-source",
        api_id=api_id,
        name="table",
        type="AMAZON_DYNAMODB",
        service_role_arn=role.arn,
        dynamodb_config={"table_name": args.table.table_name},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )


def _function(
    name: str, args: WriteApiArgs, api_id: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> aws.appsync.DataSource:
    function = LambdaFunction(
        f"{name}-function",
        LambdaFunctionArgs(
            folder="write_api",
            environment={"TABLE": args.table.table_name},
            statements=[_writing(args)],
            memory=128,
            timeout_seconds=10,
            log_retention_days=args.log_retention_days,
            reserved_concurrency=CONCURRENT_WRITES,
        ),
        opts=opts,
    )
    role = ServiceRole(
        f"{name}-role",
        ServiceRoleArgs(
            service="appsync.amazonaws.com", statements=[allow(["lambda:InvokeFunction"], function.arn)]
        ),
        opts=opts,
    )
    return aws.appsync.DataSource(
        f"{name}-source",
        api_id=api_id,
        name="function",
        type="AWS_LAMBDA",
        service_role_arn=role.arn,
        lambda_config={"function_arn": function.arn},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role, function])),
    )


def _writing(args: WriteApiArgs) -> Statement:
    # The system's own items are not for callers: the resolvers say so, and the role could not.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    return allow(
        ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:GetItem"],
        args.table.table_arn,
        {"ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": ["statecast:*"]}},
    )
