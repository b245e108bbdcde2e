from typing import Any

import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import ACCOUNT, arn, assumed_by, document, unknown

ELSEWHERE = arn("elsewhere")


def allow(action: Any, resource: Any = ELSEWHERE, **given: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource} | given


def role_policy(at: str, *statements: Any) -> None:
    aws.iam.RolePolicy(f"{at}policy", role="elsewhere", policy=document(*statements))


actions = Cases("no-star-action")


@actions.fails("policy")
def every_action(at: str) -> None:
    role_policy(at, allow("*"))


@actions.fails("policy")
def every_action_of_a_service_among_others(at: str) -> None:
    role_policy(at, allow("sqs:SendMessage"), allow(["sqs:ReceiveMessage", "sns:*"]))


@actions.fails("policy")
def actions_by_question_marks(at: str) -> None:
    role_policy(at, allow(["sqs:????????????", "dynamodb:PutItem"]))


@actions.fails("policy")
def all_but_one_action(at: str) -> None:
    role_policy(at, {"Effect": "Allow", "NotAction": "iam:PassRole", "Resource": arn("elsewhere")})


@actions.fails("managed", "user", "group", "role")
def any_kind_of_policy(at: str) -> None:
    policy = document(allow("s3:Get*"))
    aws.iam.Policy(f"{at}managed", policy=policy)
    aws.iam.UserPolicy(f"{at}user", user="elsewhere", policy=policy)
    aws.iam.GroupPolicy(f"{at}group", group="elsewhere", policy=policy)
    inline = [
        {"name": "narrow", "policy": document(allow("s3:GetObject"))},
        {"name": "wide", "policy": policy},
    ]
    aws.iam.Role(f"{at}role", assume_role_policy=assumed_by("ec2.amazonaws.com"), inline_policies=inline)


@actions.passes
def named_actions(at: str) -> None:
    role_policy(at, allow("sqs:SendMessage"), allow(["sqs:ReceiveMessage"]))


@actions.passes
def a_denial_of_every_action(at: str) -> None:
    role_policy(at, allow("*", Effect="Deny"))


@actions.undecided("policy")
def a_document_that_is_not_known_yet(at: str) -> None:
    role_policy(at, allow("sqs:*", unknown(at)))


@actions.undecided("role")
def an_inline_policy_that_is_not_known_yet(at: str) -> None:
    inline = [{"name": "unknown", "policy": document(allow("sqs:*", unknown(at)))}]
    aws.iam.Role(f"{at}role", assume_role_policy=assumed_by("ec2.amazonaws.com"), inline_policies=inline)


@actions.not_applicable
def a_role_without_policies(at: str) -> None:
    aws.iam.Role(f"{at}role", assume_role_policy=assumed_by("ec2.amazonaws.com"))


resources = Cases("no-star-resource")


@resources.fails("policy")
def every_resource(at: str) -> None:
    role_policy(at, allow(["ecr:GetAuthorizationToken", "sqs:SendMessage"], "*"))


@resources.fails("policy")
def every_resource_of_a_service(at: str) -> None:
    role_policy(at, allow("sqs:SendMessage", [arn("elsewhere"), arn("*")]))


def _allowed_on(at: str, action: str, resources: dict[str, str]) -> None:
    for name, resource in resources.items():
        policy = document(allow(action, resource))
        aws.iam.RolePolicy(f"{at}{name}", role="elsewhere", policy=policy)


@resources.fails("stars", "marks", "short", "parts")
def every_resource_in_other_words(at: str) -> None:
    wide = {
        "stars": "**",
        "marks": "arn:aws:sqs:*:*:?*",
        "short": "arn:aws:sqs:*",
        "parts": "arn:aws:s3:::*/*",
    }
    _allowed_on(at, "sqs:SendMessage", wide)


@resources.fails("table", "role", "log-group")
def every_resource_of_a_type_in_all_accounts(at: str) -> None:
    wide = {
        "table": "arn:aws:dynamodb:*:*:table/*",
        "role": "arn:aws:iam::*:role/*",
        "log-group": "arn:aws:logs:eu-south-1:????????????:log-group:?*",
    }
    _allowed_on(at, "iam:PassRole", wide)


@resources.fails("policy")
def all_resources_but_one(at: str) -> None:
    role_policy(at, {"Effect": "Allow", "Action": "sqs:SendMessage", "NotResource": arn("elsewhere")})


@resources.passes
def what_aws_allows_on_no_other(at: str) -> None:
    role_policy(at, allow(["ecr:GetAuthorizationToken", "dynamodb:ListStreams"], "*"))


@resources.passes
def every_resource_of_a_type_in_one_account(at: str) -> None:
    tables = f"arn:aws:dynamodb:*:{ACCOUNT}:table/*"
    own = "arn:aws:dynamodb:*:${aws:PrincipalAccount}:table/*"
    role_policy(at, allow("dynamodb:DescribeTable", [tables, own]))


@resources.passes
def a_name_in_all_accounts(at: str) -> None:
    role_policy(at, allow("sts:AssumeRole", ["arn:aws:iam::*:role/reader", "arn:aws:iam::*:role/cdk-*"]))


@resources.passes
def the_objects_of_one_bucket(at: str) -> None:
    role_policy(at, allow("s3:PutObject", "arn:aws:s3:::orders/*"))


@resources.passes
def part_of_a_name(at: str) -> None:
    role_policy(
        at, allow("sqs:SendMessage", arn("orders-*")), allow("logs:PutLogEvents", arn("log-group:g:*"))
    )


@resources.undecided("policy")
def resources_that_are_not_known_yet(at: str) -> None:
    role_policy(at, allow("sqs:SendMessage", unknown(at)))


@resources.not_applicable
def who_may_assume_a_role(at: str) -> None:
    aws.iam.Role(f"{at}role", assume_role_policy=assumed_by("ec2.amazonaws.com"))


full = Cases("no-full-access")
MANAGED = "arn:aws:iam::aws:policy/"


@full.fails("attachment", "role", "many")
def full_access(at: str) -> None:
    sqs = f"{MANAGED}AmazonSQSFullAccess"
    aws.iam.RolePolicyAttachment(f"{at}attachment", role="elsewhere", policy_arn=sqs)
    aws.iam.Role(
        f"{at}role",
        assume_role_policy=assumed_by("ec2.amazonaws.com"),
        managed_policy_arns=[f"{MANAGED}ReadOnlyAccess", f"{MANAGED}AdministratorAccess"],
    )
    aws.iam.PolicyAttachment(f"{at}many", roles=["elsewhere"], policy_arn=f"{MANAGED}PowerUserAccess")


@full.fails("tables", "alarms")
def full_access_by_a_later_version(at: str) -> None:
    for name, policy in (("tables", "AmazonDynamoDBFullAccess_v2"), ("alarms", "CloudWatchFullAccessV2")):
        aws.iam.RolePolicyAttachment(f"{at}{name}", role="elsewhere", policy_arn=f"{MANAGED}{policy}")


@full.passes
def narrower_ones(at: str) -> None:
    narrow = f"{MANAGED}service-role/AWSLambdaBasicExecutionRole"
    aws.iam.RolePolicyAttachment(f"{at}attachment", role="elsewhere", policy_arn=narrow)


@full.undecided("attachment")
def one_that_is_not_known_yet(at: str) -> None:
    aws.iam.RolePolicyAttachment(f"{at}attachment", role="elsewhere", policy_arn=unknown(at))


@full.not_applicable
def a_role_with_none(at: str) -> None:
    aws.iam.Role(f"{at}role", assume_role_policy=assumed_by("ec2.amazonaws.com"))


assumes = Cases("role-names-who-assumes-it")


def _role(at: str, principal: Any, **conditions: Any) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": principal,
        "Condition": conditions,
    }
    aws.iam.Role(f"{at}role", assume_role_policy=document(statement))


@assumes.fails("role")
def a_service_for_just_anyone(at: str) -> None:
    _role(at, {"Service": "pipes.amazonaws.com"})


@assumes.fails("role")
def one_of_two_services(at: str) -> None:
    _role(at, {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]})


@assumes.fails("role")
def a_service_for_all_sources(at: str) -> None:
    _role(at, {"Service": "lambda.amazonaws.com"}, ArnLike={"aws:SourceArn": "arn:aws:*"})


@assumes.fails("role")
def a_service_for_all_accounts(at: str) -> None:
    _role(at, {"Service": "lambda.amazonaws.com"}, StringLike={"aws:SourceAccount": "????????????"})


@assumes.fails("role")
def anyone(at: str) -> None:
    _role(at, {"AWS": "*"}, StringEquals={"aws:SourceAccount": ACCOUNT})


@assumes.passes
def a_service_for_an_account(at: str) -> None:
    _role(at, {"Service": "lambda.amazonaws.com"}, StringEquals={"aws:SourceAccount": ACCOUNT})


@assumes.passes
def a_service_for_one_pipe(at: str) -> None:
    _role(at, {"Service": "pipes.amazonaws.com"}, ArnLike={"aws:SourceArn": arn("*")})


@assumes.passes
def a_service_that_says_for_nobody(at: str) -> None:
    _role(at, {"Service": "ec2.amazonaws.com"})


@assumes.passes
def a_role_of_another_account(at: str) -> None:
    _role(at, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"})


GITHUB = "token.actions.githubusercontent.com"


def _federated(at: str, provider: str = f"oidc-provider/{GITHUB}", **conditions: Any) -> None:
    _role(at, {"Federated": f"arn:aws:iam::{ACCOUNT}:{provider}"}, **conditions)


@assumes.fails("role")
def whoever_a_provider_knows(at: str) -> None:
    _federated(at)


@assumes.fails("role")
def whoever_a_provider_knows_for_this_audience(at: str) -> None:
    _federated(at, StringEquals={f"{GITHUB}:aud": "sts.amazonaws.com"})


@assumes.fails("role")
def a_subject_for_whatever_audience(at: str) -> None:
    _federated(at, StringLike={f"{GITHUB}:sub": "repo:me/mine:*"})


@assumes.fails("role")
def the_repositories_of_all_owners(at: str) -> None:
    repositories = {f"{GITHUB}:sub": ["repo:me/mine:*", "repo:*"]}
    _federated(at, StringEquals={f"{GITHUB}:aud": "sts.amazonaws.com"}, StringLike=repositories)


@assumes.fails("role")
def a_subject_of_another_provider(at: str) -> None:
    other = {f"{GITHUB}:aud": "sts.amazonaws.com", "gitlab.com:sub": "project_path:me/mine"}
    _federated(at, StringEquals=other)


@assumes.fails("role")
def the_identity_pools_of_all_accounts(at: str) -> None:
    _role(at, {"Federated": "cognito-identity.amazonaws.com"})


@assumes.passes
def a_repository_of_an_owner(at: str) -> None:
    audience = {f"{GITHUB}:aud": "sts.amazonaws.com"}
    _federated(at, StringEquals=audience, StringLike={f"{GITHUB}:sub": "repo:me/*"})


@assumes.passes
def a_service_account_of_a_cluster(at: str) -> None:
    cluster = "oidc.eks.eu-south-1.amazonaws.com/id/A1B2C3"
    names = {
        f"{cluster}:aud": "sts.amazonaws.com",
        f"{cluster}:sub": "system:serviceaccount:orders:*",
    }
    _federated(at, f"oidc-provider/{cluster}", StringLike=names)


@assumes.passes
def an_identity_pool(at: str) -> None:
    pool = {"cognito-identity.amazonaws.com:aud": "eu-south-1:12345678-abcd"}
    _role(at, {"Federated": "cognito-identity.amazonaws.com"}, StringEquals=pool)


@assumes.passes
def an_application_of_a_provider_that_all_share(at: str) -> None:
    application = {"www.amazon.com:app_id": "amzn1.application-oa2-client.123456"}
    _role(at, {"Federated": "www.amazon.com"}, StringEquals=application)


@assumes.passes
def whoever_one_s_own_directory_knows(at: str) -> None:
    sign_in = {"SAML:aud": "https://signin.aws.amazon.com/saml"}
    _federated(at, "saml-provider/directory", StringEquals=sign_in)


@assumes.undecided("role")
def one_for_what_is_not_known_yet(at: str) -> None:
    _role(at, {"Service": "pipes.amazonaws.com"}, ArnLike={"aws:SourceArn": unknown(at)})


@assumes.not_applicable
def no_role(at: str) -> None:
    pulumi.ComponentResource("test:index:Empty", f"{at}empty")
