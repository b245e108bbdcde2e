"""The topic that fans changes out."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.policy_document import deny_plain_http, document


class ChangeTopic(pulumi.ComponentResource):
    """An encrypted topic: forwarders publish changes to it, and each slot's queue is subscribed to it."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:ChangeTopic", name, None, opts)
        self._name = name
        self._child_opts = pulumi.ResourceOptions(parent=self)

        # The AWS-managed key serves any role of the account that may publish. A key of our own would
        # cost more and need a grant to each forwarder.
        topic = aws.sns.Topic(name, kms_master_key_id="alias/aws/sns", opts=self._child_opts)

        self.arn = topic.arn
        self.register_outputs({"arn": topic.arn})

    def admit(self, role_arns: Sequence[pulumi.Input[str]]) -> None:
        """Let these roles publish, over TLS, and nobody else whatever their own policies say."""
        roles = list(role_arns)
        aws.sns.TopicPolicy(
            f"{self._name}-policy",
            arn=self.arn,
            policy=document(
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": roles},
                    "Action": "sns:Publish",
                    "Resource": self.arn,
                },
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sns:Publish",
                    "Resource": self.arn,
                    "Condition": {"ArnNotEquals": {"aws:PrincipalArn": roles}},
                },
                deny_plain_http("sns:Publish", self.arn),
            ),
            opts=self._child_opts,
        )
