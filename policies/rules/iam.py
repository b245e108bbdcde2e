"""What roles may do, and who may take them on."""

import re

from pulumi_policy import Severity

from ..document import IDENTITY_POLICIES, allowed_by, statements
from ..kinds import ROLE
from ..rule import Fixes, rule
from ..stack import Resource, value

ATTACHMENTS = tuple(
    f"aws:iam/{kind[0].lower()}{kind[1:]}:{kind}"
    for kind in ("RolePolicyAttachment", "GroupPolicyAttachment", "UserPolicyAttachment", "PolicyAttachment")
)
# Some have a version in their name: AmazonDynamoDBFullAccess_v2, CloudWatchFullAccessV2.
WIDE_POLICIES = re.compile(r"(FullAccess(_?[Vv]\d+)?|/AdministratorAccess|/PowerUserAccess)$")
SENDERS = ("aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid")
EVERY_RESOURCE = re.compile(
    r"[*?]+|arn(:[^:]*){0,4}:[*?:/]+"  # of a service, in one account or in all
    r"|arn(:[^:]*){3}:[^:]*[*?][^:]*:[^:/]*[:/][*?:/]+"  # of a type, in all accounts
)
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
ACTIONS_WITHOUT_RESOURCE = """
    cloudwatch:PutMetricData dynamodb:ListStreams ecr:GetAuthorizationToken
    ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeNetworkInterfaces
    ssmmessages:CreateControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenControlChannel
    ssmmessages:OpenDataChannel xray:PutTelemetryRecords xray:PutTraceSegments
"""


@rule(
    Severity.HIGH,
    *IDENTITY_POLICIES,
    answers="AwsSolutions-IAM5 IAMPolicyNoStatementsWithAdminAccess IAMPolicyNoStatementsWithFullAccess "
    "LambdaStarPermissions CKV_AWS_62 CKV_AWS_63 CKV2_AWS_40 IAM.1 IAM.21",
)
def no_star_action(policy: Resource) -> Fixes:
    """No policy of a role, a group or a user allows actions by wildcard, or all but some."""
    wide = {action for each in allowed_by(policy) for action in each.actions if {"*", "?"} & set(action)}
    if wide:
        yield f"name each action that is needed instead of {', '.join(sorted(wide))}."


@rule(
    Severity.HIGH,
    *IDENTITY_POLICIES,
    answers="AwsSolutions-IAM5 CKV_AWS_289 CKV_AWS_290 CKV_AWS_355 KMS.1 KMS.2",
    settings={
        "actions": {"type": "array", "items": {"type": "string"}, "default": ACTIONS_WITHOUT_RESOURCE.split()}
    },
)
def no_star_resource(policy: Resource, actions: list[str]) -> Fixes:
    """No policy allows an action on every resource, but for those (`actions`) that AWS allows on no other.

    Every resource of a type is too many in all accounts, and no fault in one: the account is one's own.
    """
    wide = {
        action
        for each in allowed_by(policy)
        if any(map(EVERY_RESOURCE.fullmatch, each.resources))
        for action in each.actions
        if action not in actions
    }
    if wide:
        yield f"name the resources of {', '.join(sorted(wide))} by ARN."


@rule(Severity.HIGH, ROLE, *ATTACHMENTS, answers="CKV_AWS_274 CKV2_AWS_56 IAM.27")
def no_full_access(holder: Resource) -> Fixes:
    """No role, group or user has one of the AWS managed policies that allow a service's every action."""
    given = range(len(value(holder, "managedPolicyArns") or ()))
    for path in [("policyArn",), *(("managedPolicyArns", number) for number in given)]:
        if WIDE_POLICIES.search(str(arn := value(holder, *path))):
            yield f"replace {arn} by a policy of its own that names actions and resources."


@rule(Severity.MEDIUM, ROLE, answers="CKV_AWS_60 CKV_AWS_61")
def role_names_who_assumes_it(role: Resource) -> Fixes:
    """No role is for anyone to assume, or anyone an identity provider knows, or a service for just anyone.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
    """
    for statement in (each for each in statements(role, "assumeRolePolicy") if each.allows):
        # EC2 assumes an instance's role without saying for whom.
        services = [each for each in statement.principals("Service") if each != "ec2.amazonaws.com"]
        if statement.is_for_anyone:
            yield "name the principals that may assume it."
        elif services and not statement.is_limited_by(*SENDERS):
            yield f"add a Condition, StringEquals aws:SourceAccount = your account, to {', '.join(services)}."
        for provider in statement.principals("Federated"):
            for keys in _keys(provider):
                if not statement.is_limited_by(*keys):
                    yield f"add a Condition, StringLike {keys[0]} = whom you mean, to {provider}."


def _keys(provider: str) -> list[tuple[str, ...]]:
    """The keys that tell whom an identity provider means; of several in one place, either will do."""
    if ":saml-provider/" in provider:
        return []  # a directory of one's own
    name = provider.rpartition(":oidc-provider/")[2].lower()
    if ":oidc-provider/" in provider:
        return [(f"{name}:sub",), (f"{name}:aud",)]
    # Cognito, Google, Facebook and Amazon: they serve everyone's applications.
    return [(f"{name}:aud", f"{name}:app_id")]
