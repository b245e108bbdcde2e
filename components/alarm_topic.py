"""Where alarms go."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.policy_document import deny_plain_http, document


@dataclass(frozen=True, kw_only=True)
class AlarmTopicArgs:
    """What an AlarmTopic is made of."""

    email: str  # who is told; empty for nobody. AWS sends a confirmation first


class AlarmTopic(pulumi.ComponentResource):
    """An encrypted topic to which the alarms of this account, and nothing else, may publish."""

    arn: pulumi.Output[str]  # the topic's ARN: what an alarm takes as its action

    def __init__(self, name: str, args: AlarmTopicArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("statecast:components:AlarmTopic", name, None, opts)
        child_opts = pulumi.ResourceOptions(parent=self)
        account = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id

        # The policy of alias/aws/sns admits no service: CloudWatch's alarms would change state in silence.
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
        key = aws.kms.Key(
            f"{name}-key",
            description="Encrypts alarms on their way to their readers.",
            enable_key_rotation=True,
            deletion_window_in_days=7,
            policy=document(
                {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:*", "Resource": "*"},
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                },
            ),
            opts=child_opts,
        )
        topic = aws.sns.Topic(name, kms_master_key_id=key.arn, opts=child_opts)
        aws.sns.TopicPolicy(
            f"{name}-policy",
            arn=topic.arn,
            policy=document(
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": "sns:Publish",
                    "Resource": topic.arn,
                    "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                },
                deny_plain_http("sns:Publish", topic.arn),
            ),
            opts=child_opts,
        )
        if args.email:
            aws.sns.TopicSubscription(
                f"{name}-email",
                topic=topic.arn,
                protocol="email",
                # A person's address: not for everyone who may read the state.
                endpoint=pulumi.Output.secret(args.email),
                opts=child_opts,
            )

        self.arn = topic.arn
        self.register_outputs({"arn": topic.arn})
