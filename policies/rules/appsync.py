"""GraphQL APIs that know their callers, and remember them."""

from pulumi_policy import Severity

from ..kinds import GRAPHQL_API
from ..rule import Fixes, rule
from ..stack import Resource, is_set, value


@rule(Severity.HIGH, GRAPHQL_API, answers="AppSync.5")
def api_is_not_by_key_alone(api: Resource) -> Fixes:
    """No API lets callers in by API key unless it is told otherwise: a key names nobody."""
    if value(api, "authenticationType") == "API_KEY":
        yield "set authentication_type to AWS_IAM, or to another that names the caller."


@rule(Severity.MEDIUM, GRAPHQL_API, answers="AwsSolutions-ASC3 CKV_AWS_193 CKV_AWS_194 AppSync.2")
def api_logs(api: Resource) -> Fixes:
    """Every API logs its requests, by field."""
    level = value(api, "logConfig", "fieldLogLevel")
    if level in (None, "NONE") or not is_set(api, ("logConfig", "cloudwatchLogsRoleArn")):
        yield "set log_config, with a cloudwatch_logs_role_arn and a field_log_level of ERROR or ALL."
