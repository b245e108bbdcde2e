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
    statements: Sequence[Statement] | None  # all that it may do; None: `permit` says it later
    condition: Mapping[str, object] | None = None  # when the service may assume it; else for this account
    path: pulumi.Input[str] | None = None  # where in IAM it is; None: at the root


class ServiceRole(pulumi.ComponentResource):
    """A role with one policy. What must find the policy in place depends on this component."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ServiceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:ServiceRole", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        # https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        condition = args.condition or {"StringEquals": {"aws:SourceAccount": account}}
        role = aws.iam.Role(
            name, path=args.path, assume_role_policy=trust(args.service, condition), opts=child_opts
        )

        self.arn = role.arn
        self._name, self._role_name = name, role.name
        if args.statements is not None:
            self.permit(args.statements)
        self.register_outputs({"arn": role.arn})

    def permit(self, statements: Sequence[Statement]) -> None:
        """Say what the role may do, once: for what is only known when something has the role already."""
        aws.iam.RolePolicy(
            f"{self._name}-policy",
            role=self._role_name,
            policy=document(*statements),
            opts=pulumi.ResourceOptions(parent=self),
        )
