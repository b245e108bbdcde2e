"""A role that one service may assume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.policy_document import Statement, document, trust


@dataclass(frozen=True, kw_only=True)
class ServiceRoleArgs:
    """What a ServiceRole is made of."""

    service: str  # who may assume it, such as `lambda.amazonaws.com`
    statements: Sequence[Statement]  # all that it may do
    condition: Mapping[str, object] | None = None  # when the service may assume it; else for this account


class ServiceRole(pulumi.ComponentResource):
    """A role with one policy. What must find the policy in place depends on this component."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ServiceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:ServiceRole", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        # https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        condition = args.condition or {"StringEquals": {"aws:SourceAccount": account}}
        role = aws.iam.Role(name, assume_role_policy=trust(args.service, condition), opts=child_opts)
        aws.iam.RolePolicy(
            f"{name}-policy", role=role.name, policy=document(*args.statements), opts=child_opts
        )

        self.arn = role.arn
        self.register_outputs({"arn": role.arn})
