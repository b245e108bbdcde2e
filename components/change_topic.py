"""The topic that fans changes out."""

import pulumi
import pulumi_aws as aws

from components.policy_document import deny_plain_http, document


class ChangeTopic(pulumi.ComponentResource):
    """An encrypted topic: forwarders publish changes to it, and each slot's queue is subscribed to it.

    Roles under its path may publish, over TLS, if their policies say so; nobody else, whatever theirs say.
    """

    arn: pulumi.Output[str]
    publisher_path: pulumi.Output[str]  # where in IAM the roles are that may publish

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:ChangeTopic", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)

        # The AWS-managed key serves any role of the account that may publish. A key of our own would
        # cost more and need a grant to each forwarder.
        topic = aws.sns.Topic(name, kms_master_key_id="alias/aws/sns", opts=child_opts)
        # A list of roles would change before the forwarders do, and cut off those still running: decision 29.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-friendly-names
        path = pulumi.Output.format("/{0}/", topic.name)
        aws.sns.TopicPolicy(
            f"{name}-policy",
            arn=topic.arn,
            policy=document(
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sns:Publish",
                    "Resource": topic.arn,
                    "Condition": {
                        "ArnNotLike": {
                            "aws:PrincipalArn": pulumi.Output.format("arn:*:iam::*:role{0}*", path)
                        }
                    },
                },
                deny_plain_http("sns:Publish", topic.arn),
            ),
            opts=child_opts,
        )

        self.arn = topic.arn
        self.publisher_path = path
        self.register_outputs({"arn": self.arn, "publisherPath": self.publisher_path})
