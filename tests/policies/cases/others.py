"""The cases of rules that ask one property, or two."""

from typing import Any

import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import ACCOUNT, unknown

ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"

by_key = Cases("api-is-not-by-key-alone")


def api(name: str, **given: Any) -> None:
    asked: dict[str, Any] = {"authentication_type": "AWS_IAM"}
    aws.appsync.GraphQLApi(name, **asked | given)


@by_key.fails("api")
def by_key_alone(at: str) -> None:
    api(f"{at}api", authentication_type="API_KEY")


@by_key.passes
def by_identity(at: str) -> None:
    api(f"{at}api", additional_authentication_providers=[{"authentication_type": "API_KEY"}])


@by_key.undecided("api")
def by_what_is_not_known_yet(at: str) -> None:
    api(f"{at}api", authentication_type=unknown(at))


@by_key.not_applicable
def no_api(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


api_logs = Cases("api-logs")


@api_logs.fails("none", "off", "no-role")
def no_log_of_requests(at: str) -> None:
    api(f"{at}none")
    api(f"{at}off", log_config={"field_log_level": "NONE", "cloudwatch_logs_role_arn": ROLE})
    api(f"{at}no-role", log_config={"field_log_level": "ALL", "cloudwatch_logs_role_arn": ""})


@api_logs.passes
def a_log_of_requests(at: str) -> None:
    log = {"field_log_level": "ERROR", "cloudwatch_logs_role_arn": unknown(at)}
    api(f"{at}api", log_config=log)


@api_logs.undecided("api")
def a_log_that_is_not_known_yet(at: str) -> None:
    log = {"field_log_level": unknown(at), "cloudwatch_logs_role_arn": ROLE}
    api(f"{at}api", log_config=log)


@api_logs.not_applicable
def nothing_to_log(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


logs = Cases("log-has-retention")


@logs.fails("none", "never")
def kept_for_ever(at: str) -> None:
    aws.cloudwatch.LogGroup(f"{at}none")
    aws.cloudwatch.LogGroup(f"{at}never", retention_in_days=0)


@logs.passes
def kept_for_a_day(at: str) -> None:
    aws.cloudwatch.LogGroup(f"{at}group", retention_in_days=1)


@logs.undecided("group")
def kept_for_what_is_not_known_yet(at: str) -> None:
    aws.cloudwatch.LogGroup(f"{at}group", retention_in_days=unknown(at).apply(len))


@logs.not_applicable
def no_log(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


recovers = Cases("table-recovers")
protected = Cases("table-is-protected")


def table(name: str, **given: Any) -> None:
    aws.dynamodb.Table(name, attributes=[{"name": "id", "type": "S"}], hash_key="id", **given)


@recovers.fails("none", "off")
def no_recovery(at: str) -> None:
    table(f"{at}none")
    table(f"{at}off", point_in_time_recovery={"enabled": False})


@recovers.passes
def a_recovery(at: str) -> None:
    table(f"{at}table", point_in_time_recovery={"enabled": True})


@recovers.undecided("table")
def a_recovery_that_is_not_known_yet(at: str) -> None:
    table(f"{at}table", point_in_time_recovery={"enabled": unknown(at).apply(bool)})


@protected.fails("none", "off")
def no_protection(at: str) -> None:
    table(f"{at}none")
    table(f"{at}off", deletion_protection_enabled=False)


@protected.passes
def a_protection(at: str) -> None:
    table(f"{at}table", deletion_protection_enabled=True)


@protected.undecided("table")
def a_protection_that_is_not_known_yet(at: str) -> None:
    table(f"{at}table", deletion_protection_enabled=unknown(at).apply(bool))


@recovers.not_applicable
@protected.not_applicable
def no_table(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


callers = Cases("function-names-its-callers")


def _permission(name: str, **given: Any) -> None:
    aws.lambda_.Permission(name, action="lambda:InvokeFunction", function="f", **given)


@callers.fails("everyone", "service")
def anyone_s_calls(at: str) -> None:
    _permission(f"{at}everyone", principal="*")
    _permission(f"{at}service", principal="s3.amazonaws.com")


@callers.fails("everyone", "service", "buckets")
def calls_from_anywhere(at: str) -> None:
    _permission(f"{at}everyone", principal="*", source_arn="*")
    _permission(f"{at}service", principal="sns.amazonaws.com", source_arn="arn:aws:sns:*:*:*")
    _permission(f"{at}buckets", principal="s3.amazonaws.com", source_arn="arn:aws:s3:::*")


@callers.passes
def callers_by_name(at: str) -> None:
    _permission(f"{at}topic", principal="sns.amazonaws.com", source_arn=unknown(at))
    _permission(f"{at}bucket", principal="s3.amazonaws.com", source_arn="arn:aws:s3:::orders")
    _permission(
        f"{at}buckets",
        principal="s3.amazonaws.com",
        source_arn="arn:aws:s3:::orders-*",
        source_account=ACCOUNT,
    )
    api = f"arn:aws:execute-api:eu-south-1:{ACCOUNT}:a1b2c3/*/*"
    _permission(f"{at}api", principal="apigateway.amazonaws.com", source_arn=api)
    _permission(f"{at}organization", principal="*", principal_org_id="o-1")
    _permission(f"{at}account", principal=ACCOUNT)


@callers.undecided("permission")
def a_caller_that_is_not_known_yet(at: str) -> None:
    _permission(f"{at}permission", principal=unknown(at))


@callers.not_applicable
def a_url_s_callers(at: str) -> None:
    _permission(f"{at}permission", principal="*", function_url_auth_type="AWS_IAM")


urls = Cases("function-url-is-authenticated")


@urls.fails("url")
def a_url_for_everyone(at: str) -> None:
    aws.lambda_.FunctionUrl(f"{at}url", function_name="f", authorization_type="NONE")


@urls.passes
def a_url_by_identity(at: str) -> None:
    aws.lambda_.FunctionUrl(f"{at}url", function_name="f", authorization_type="AWS_IAM")


@urls.undecided("url")
def a_url_that_is_not_known_yet(at: str) -> None:
    aws.lambda_.FunctionUrl(f"{at}url", function_name="f", authorization_type=unknown(at))


@urls.not_applicable
def no_url(at: str) -> None:
    aws.sns.Topic(f"{at}topic")
