import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import ACCOUNT, TOPIC_ARN, alarm, arn, composite, document, redrive, unknown

OWNER = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}

queues = Cases("queue-is-encrypted")


@queues.fails("orders")
def a_queue_by_default(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")


@queues.fails("orders")
def a_queue_in_the_clear(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", sqs_managed_sse_enabled=False)


@queues.passes
def a_queue_by_sqs(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", sqs_managed_sse_enabled=True)


@queues.passes
def a_queue_by_a_key_of_this_stack(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", kms_master_key_id=aws.kms.Key(f"{at}key").arn)


@queues.undecided("orders")
def a_queue_of_which_it_is_not_known_yet(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", sqs_managed_sse_enabled=unknown(at).apply(bool))


@queues.not_applicable
def no_queue(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


topics = Cases("topic-is-encrypted")


@topics.fails("topic")
def a_topic_by_default(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


@topics.fails("topic")
def an_empty_key(at: str) -> None:
    aws.sns.Topic(f"{at}topic", kms_master_key_id="")


@topics.passes
def a_topic_by_alias(at: str) -> None:
    aws.sns.Topic(f"{at}topic", kms_master_key_id="alias/aws/sns")


@topics.passes
def a_topic_by_a_key_through_apply(at: str) -> None:
    key = aws.kms.Key(f"{at}key").arn.apply(lambda of: of.split("/")[-1])
    aws.sns.Topic(f"{at}topic", kms_master_key_id=key)


@topics.not_applicable
def no_topic(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")


keys = Cases("key-admits-sender")


def _subscribed(at: str, queue: pulumi.Input[str], failures: pulumi.Input[str] | None = None) -> None:
    aws.sns.TopicSubscription(
        f"{at}subscription",
        topic=TOPIC_ARN,
        protocol="sqs",
        endpoint=queue,
        redrive_policy=redrive(failures) if failures is not None else None,
    )


@keys.fails("orders")
def a_subscribed_queue_under_the_managed_key(at: str) -> None:
    _subscribed(at, aws.sqs.Queue(f"{at}orders", kms_master_key_id="alias/aws/sqs").arn)


@keys.fails("orders")
def a_subscribed_queue_by_literal_arns(at: str) -> None:
    key = arn("alias/aws/sqs").replace("sqs", "kms", 1)
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders", kms_master_key_id=key)
    _subscribed(at, arn(f"{at}orders"))


@keys.fails("dlq")
def the_dead_letter_queue_of_a_subscription(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", kms_master_key_id="alias/aws/sqs")
    _subscribed(at, arn("elsewhere"), dlq.arn)


@keys.fails("topic")
def a_topic_of_alarms_under_the_managed_key(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id="alias/aws/sns")
    alarm(f"{at}alarm", "elsewhere", alarm_actions=[topic.arn])


@keys.fails("topic")
def a_topic_that_is_told_when_all_is_well(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic", name=f"{at}topic", kms_master_key_id="alias/aws/sns")
    alarm(f"{at}alarm", "elsewhere", ok_actions=topic.arn.apply(lambda of: [of]))


@keys.fails("topic")
def a_topic_of_a_composite_alarm(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id="alias/aws/sns")
    composite(f"{at}any", f"ALARM({at}elsewhere)", alarm_actions=[topic.arn])


def _granted(service: str, *actions: str) -> pulumi.Output[str]:
    grant = {"Effect": "Allow", "Principal": {"Service": service}, "Action": actions, "Resource": "*"}
    return document(OWNER, grant)


@keys.fails("topic")
def a_topic_of_alarms_under_a_key_without_a_policy(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id=aws.kms.Key(f"{at}key").arn)
    alarm(f"{at}alarm", "elsewhere", alarm_actions=[topic.arn])


@keys.fails("topic")
def a_key_that_admits_another_service(at: str) -> None:
    key = aws.kms.Key(f"{at}key", policy=_granted("sns.amazonaws.com", "kms:Decrypt", "kms:GenerateDataKey*"))
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id=key.key_id)
    alarm(f"{at}alarm", "elsewhere", alarm_actions=[topic.arn])


@keys.fails("orders")
def a_queue_under_a_key_by_which_sns_may_only_read(at: str) -> None:
    key = aws.kms.Key(f"{at}key")
    aws.kms.KeyPolicy(f"{at}policy", key_id=key.key_id, policy=_granted("sns.amazonaws.com", "kms:Decrypt"))
    _subscribed(at, aws.sqs.Queue(f"{at}orders", kms_master_key_id=key.arn).arn)


@keys.passes
def keys_that_admit_who_sends(at: str) -> None:
    policy = _granted("cloudwatch.amazonaws.com", "kms:Decrypt", "kms:GenerateDataKey*")
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id=aws.kms.Key(f"{at}alarms", policy=policy).arn)
    alarm(f"{at}alarm", "elsewhere", alarm_actions=[topic.arn])
    key = aws.kms.Key(f"{at}key")
    aws.kms.KeyPolicy(f"{at}policy", key_id=key.key_id, policy=_granted("sns.amazonaws.com", "kms:*"))
    _subscribed(at, aws.sqs.Queue(f"{at}orders", kms_master_key_id=key.arn).arn)


@keys.passes
def keys_of_elsewhere_and_of_sqs(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id="alias/alarms")
    alarm(f"{at}alarm", "elsewhere", alarm_actions=[topic.arn])
    _subscribed(at, aws.sqs.Queue(f"{at}orders", sqs_managed_sse_enabled=True).arn)


@keys.undecided("topic")
def a_key_whose_policy_is_not_known_yet(at: str) -> None:
    key = aws.kms.Key(
        f"{at}key", policy=document(OWNER | {"Condition": {"StringEquals": {"a": unknown(at)}}})
    )
    topic = aws.sns.Topic(f"{at}topic", kms_master_key_id=key.arn)
    alarm(f"{at}alarm", "elsewhere", alarm_actions=[topic.arn])


@keys.not_applicable
def what_no_service_sends_to(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", kms_master_key_id="alias/aws/sqs")
    aws.sns.Topic(f"{at}topic", kms_master_key_id="alias/aws/sns")
