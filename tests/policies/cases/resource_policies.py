from typing import Any

import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import TOPIC_ARN, arn, document, redrive, unknown, url

HERE = arn("elsewhere")


def tls(action: str = "sqs:*", resource: pulumi.Input[str] = HERE, **given: Any) -> dict[str, Any]:
    asked = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return asked | given


def admit(principal: Any = None, **given: Any) -> dict[str, Any]:
    asked = {
        "Effect": "Allow",
        "Principal": principal or {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": HERE,
        "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC_ARN}},
    }
    return asked | given


def queue_policy(at: str, *statements: Any, queue: pulumi.Input[str] | None = None) -> None:
    aws.sqs.QueuePolicy(f"{at}policy", queue_url=queue or url("elsewhere"), policy=document(*statements))


def topic_policy(at: str, *statements: Any) -> None:
    aws.sns.TopicPolicy(f"{at}policy", arn=TOPIC_ARN, policy=document(*statements))


only = Cases("tls-only")


@only.fails("policy")
def no_denial(at: str) -> None:
    queue_policy(at, admit())


@only.fails("policy")
def no_document(at: str) -> None:
    aws.sqs.QueuePolicy(f"{at}policy", queue_url=url("elsewhere"), policy="none")


@only.fails("policy")
def a_denial_of_sending_alone(at: str) -> None:
    queue_policy(at, tls("sqs:SendMessage"))


@only.fails("policy")
def a_denial_to_one_principal(at: str) -> None:
    queue_policy(at, tls(Principal={"AWS": "123456789012"}))


@only.fails("policy")
def a_denial_to_all_principals_but_one(at: str) -> None:
    denial = tls(NotPrincipal={"AWS": "arn:aws:iam::123456789012:role/r"})
    del denial["Principal"]
    queue_policy(at, denial)


@only.fails("policy")
def a_denial_of_all_actions_but_sending(at: str) -> None:
    denial = tls(NotAction="sqs:SendMessage")
    del denial["Action"]
    queue_policy(at, denial)


@only.fails("policy")
def a_denial_for_all_resources_but_one(at: str) -> None:
    denial = tls(NotResource=HERE)
    del denial["Resource"]
    queue_policy(at, denial)


@only.fails("policy", "topic-policy", "orders")
def a_denial_on_another(at: str) -> None:
    queue_policy(at, admit(), tls(resource=arn("another")))
    aws.sns.TopicPolicy(f"{at}topic-policy", arn=TOPIC_ARN, policy=document(tls("sns:Publish", HERE)))
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders", policy=document(tls()))


@only.fails("policy")
def a_denial_on_a_further_condition(at: str) -> None:
    condition = {"Bool": {"aws:SecureTransport": "false", "aws:PrincipalIsAWSService": "false"}}
    queue_policy(at, tls(Condition=condition))


@only.fails("policy")
def a_denial_of_what_does_come_over_tls(at: str) -> None:
    queue_policy(at, tls(Condition={"Bool": {"aws:SecureTransport": "true"}}))


@only.fails("orders")
def a_queue_s_own_policy(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", policy=document(admit()))


@only.fails("policy")
def a_topic_s_policy(at: str) -> None:
    topic_policy(at, tls("sns:Subscribe", TOPIC_ARN))


@only.fails("policy")
def a_document_in_a_component(at: str) -> None:
    component = pulumi.ComponentResource("test:index:Inside", f"{at}component")
    aws.sqs.QueuePolicy(
        f"{at}policy",
        queue_url=url("elsewhere"),
        policy=document(admit()),
        opts=pulumi.ResourceOptions(parent=component),
    )


@only.passes
def a_denial_to_all(at: str) -> None:
    queue_policy(at, admit(), tls(Principal={"AWS": ["*"]}, Action=["SQS:*"]))


@only.passes
def a_value_that_is_no_string(at: str) -> None:
    topic_policy(at, tls("sns:Publish", TOPIC_ARN, Condition={"Bool": {"aws:SecureTransport": [False]}}))


@only.passes
def a_single_statement_of_a_topic_s_own(at: str) -> None:
    topic = TOPIC_ARN.replace("changes", f"{at}topic")
    policy = pulumi.Output.json_dumps({"Statement": tls("*", topic)})
    aws.sns.Topic(f"{at}topic", name=f"{at}topic", policy=policy)


@only.passes
def a_denial_on_all_or_on_part_of_a_name(at: str) -> None:
    queue_policy(at, tls(resource="*"))
    aws.sns.TopicPolicy(
        f"{at}topic-policy", arn=TOPIC_ARN, policy=document(tls("sns:Publish", [HERE, TOPIC_ARN[:-3] + "*"]))
    )


@only.passes
def a_denial_on_what_has_no_name_yet(at: str) -> None:
    aws.sqs.QueuePolicy(f"{at}policy", queue_url=unknown(at), policy=document(tls()))


@only.undecided("policy")
def a_document_that_is_not_known_yet(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    queue_policy(at, tls(resource=queue.arn), queue=queue.url)


@only.not_applicable
def a_queue_and_a_topic_without_a_policy(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")
    aws.sns.Topic(f"{at}topic")


has = Cases("has-policy")


@has.fails("orders", "topic")
def neither_has_one(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")
    aws.sns.Topic(f"{at}topic")


@has.fails("orders")
def that_of_another_queue(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders")
    queue_policy(at, tls(), queue=url("another"))


@has.passes
def resources_of_their_own(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    queue_policy(at, tls(resource=queue.arn), queue=queue.id)
    topic = aws.sns.Topic(f"{at}topic")
    aws.sns.TopicPolicy(f"{at}topic-policy", arn=topic.arn, policy=document(tls(resource=topic.arn)))


@has.passes
def by_literal_names(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders")
    queue_policy(at, tls(), queue=url(f"{at}orders"))
    aws.sns.Topic(f"{at}topic", name=f"{at}topic")
    topic = TOPIC_ARN.replace("changes", f"{at}topic")
    aws.sns.TopicPolicy(f"{at}topic-policy", arn=topic, policy=document(tls()))


@has.passes
def properties_of_theirs(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", policy=document(tls()))
    aws.sns.Topic(f"{at}topic", policy=unknown(at).apply(lambda of: "{}"))


@has.not_applicable
def neither_a_queue_nor_a_topic(at: str) -> None:
    aws.dynamodb.Table(f"{at}table", attributes=[{"name": "id", "type": "S"}], hash_key="id")


names = Cases("policy-names-sender")


@names.fails("policy")
def everyone(at: str) -> None:
    queue_policy(at, admit("*", Condition={}))


@names.fails("policy")
def everyone_of_an_account(at: str) -> None:
    queue_policy(at, admit({"AWS": "*"}, Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}}))


@names.fails("policy")
def a_service_for_just_anyone(at: str) -> None:
    queue_policy(at, admit(Condition={}))


@names.fails("policy")
def a_service_for_all_sources(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnLike": {"aws:SourceArn": "*"}}))


@names.fails("policy")
def a_service_for_the_sources_of_all_accounts(at: str) -> None:
    sources = [TOPIC_ARN, "arn:aws:sns:*:????????????:*"]
    queue_policy(at, admit(Condition={"ArnLike": {"aws:SourceArn": sources}}))


@names.fails("policy")
def a_service_for_all_buckets(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::orders-*"}}))


@names.fails("policy")
def everyone_for_the_sources_of_all_accounts(at: str) -> None:
    queue_policy(at, admit("*", Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}))


@names.fails("policy")
def everyone_of_all_accounts(at: str) -> None:
    queue_policy(at, admit("*", Condition={"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:*"}}))


@names.fails("policy")
def everyone_of_an_account_of_their_own_choice(at: str) -> None:
    own = "arn:aws:iam::${aws:PrincipalAccount}:role/r"
    queue_policy(at, admit("*", Condition={"ArnLike": {"aws:PrincipalArn": own}}))


@names.fails("policy")
def everyone_of_all_organisations(at: str) -> None:
    paths = {"aws:PrincipalOrgPaths": "o-*/r-ab12/*"}
    queue_policy(at, admit("*", Condition={"ForAnyValue:StringLike": paths}))


@names.fails("policy")
def a_service_for_all_sources_but_one(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnNotEquals": {"aws:SourceArn": TOPIC_ARN}}))


@names.fails("policy")
def a_service_that_names_no_source(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnEqualsIfExists": {"aws:SourceArn": TOPIC_ARN}}))


@names.fails("policy")
def a_service_for_any_source_that_it_names(at: str) -> None:
    queue_policy(at, admit(Condition={"Null": {"aws:SourceArn": "false"}}))


@names.fails("policy")
def every_action(at: str) -> None:
    queue_policy(at, admit({"AWS": "123456789012"}, Action=["SQS:*"]))


@names.fails("policy")
def every_action_by_question_marks(at: str) -> None:
    queue_policy(at, admit({"AWS": "123456789012"}, Action="sqs:?*"))


@names.fails("policy")
def all_but_one_principal(at: str) -> None:
    queue_policy(at, {"Effect": "Allow", "NotPrincipal": {"AWS": "1"}, "Action": "sqs:SendMessage"})


@names.fails("topic")
def a_topic_for_everyone(at: str) -> None:
    aws.sns.Topic(f"{at}topic", policy=document(admit("*", Action="sns:Publish", Condition={})))


@names.fails("policy")
def a_service_by_what_only_principals_have(at: str) -> None:
    queue_policy(at, admit(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}))


@names.passes
def everyone_of_an_organisation(at: str) -> None:
    queue_policy(at, admit("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}))


@names.passes
def everyone_of_a_part_of_an_organisation(at: str) -> None:
    paths = {"aws:PrincipalOrgPaths": "o-abcdefghij/r-ab12/*"}
    queue_policy(at, admit("*", Condition={"ForAnyValue:StringLike": paths}))


@names.passes
def a_service_for_one_source(at: str) -> None:
    queue_policy(at, admit(), tls())


@names.passes
def a_service_for_all_sources_of_an_account(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:123456789012:*"}}))


@names.passes
def a_service_for_one_bucket(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::orders"}}))


@names.passes
def a_role(at: str) -> None:
    queue_policy(at, admit({"AWS": "arn:aws:iam::123456789012:role/r"}, Condition={}), tls())


@names.passes
def a_topic_for_an_account_s_alarms(at: str) -> None:
    condition = {"StringEquals": {"AWS:SourceAccount": "123456789012"}}
    cloudwatch = {"Service": "cloudwatch.amazonaws.com"}
    topic_policy(at, admit(cloudwatch, Action="sns:Publish", Condition=condition))


@names.undecided("policy")
def senders_that_are_not_known_yet(at: str) -> None:
    queue_policy(at, admit(Condition={"ArnEquals": {"aws:SourceArn": unknown(at)}}))


@names.not_applicable
def no_policy(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")


admits = Cases("subscribed-queues-admit-sns")


def _subscribe(at: str, queue: pulumi.Input[str], **given: Any) -> None:
    asked: dict[str, Any] = {"topic": TOPIC_ARN, "protocol": "sqs", "endpoint": queue}
    aws.sns.TopicSubscription(f"{at}subscription", **asked | given)


def _admitting(at: str, *statements: Any) -> str:
    """The ARN of a queue with a policy, both known."""
    name = f"{at}orders"
    aws.sqs.Queue(name, name=name)
    aws.sqs.QueuePolicy(f"{name}-policy", queue_url=url(name), policy=document(*statements))
    return arn(name)


@admits.fails("subscription")
def a_policy_that_allows_all_but_sending(at: str) -> None:
    but_sending = admit(NotAction="sqs:SendMessage")
    del but_sending["Action"]
    _subscribe(at, _admitting(at, but_sending))


@admits.fails("subscription")
def a_queue_without_a_policy(at: str) -> None:
    _subscribe(at, aws.sqs.Queue(f"{at}orders").arn)


@admits.fails("subscription")
def a_queue_that_admits_no_service(at: str) -> None:
    _subscribe(at, _admitting(at, tls()))


@admits.fails("subscription")
def a_queue_that_lets_sns_receive(at: str) -> None:
    _subscribe(at, _admitting(at, admit(Action="sqs:ReceiveMessage")))


@admits.fails("subscription")
def a_dead_letter_queue_that_does_not(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq")
    _subscribe(at, _admitting(at, admit()), redrive_policy=redrive(dlq.arn))


@admits.fails("subscription")
def a_queue_that_admits_another_topic(at: str) -> None:
    other = admit(Condition={"ArnEquals": {"aws:SourceArn": TOPIC_ARN.replace("changes", "other")}})
    _subscribe(at, _admitting(at, other))


@admits.fails("subscription")
def a_queue_that_admits_all_topics_but_this(at: str) -> None:
    but_this = admit(Condition={"ArnNotLike": {"aws:SourceArn": TOPIC_ARN[:-3] + "*"}})
    _subscribe(at, _admitting(at, but_this))


@admits.fails("subscription")
def a_queue_that_denies_everyone(at: str) -> None:
    denial = {"Effect": "Deny", "Principal": "*", "Action": "sqs:Send*", "Resource": "*"}
    _subscribe(at, _admitting(at, admit(), denial))


@admits.fails("subscription")
def a_queue_that_denies_sns(at: str) -> None:
    _subscribe(at, _admitting(at, admit(), admit(Effect="Deny", Condition={})))


@admits.passes
def a_queue_that_denies_others(at: str) -> None:
    but_sns = admit(Effect="Deny", NotPrincipal={"Service": "sns.amazonaws.com"}, Condition={})
    del but_sns["Principal"]
    another = admit("*", Effect="Deny", Action="sqs:ReceiveMessage", Condition={})
    _subscribe(at, _admitting(at, admit(), but_sns, another, tls()))


@admits.passes
def a_queue_that_admits_several_topics(at: str) -> None:
    topics = {"aws:SourceArn": [TOPIC_ARN.replace("changes", "other"), "arn:aws:sns:*:123456789012:*"]}
    _subscribe(at, _admitting(at, admit(Condition={"ArnLike": topics})))


@admits.passes
def a_queue_that_admits_sns_for_an_account(at: str) -> None:
    account = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    _subscribe(at, _admitting(at, admit(Condition=account)))


@admits.passes
def a_queue_that_admits_a_topic_that_is_not_known_yet(at: str) -> None:
    _subscribe(at, _admitting(at, admit()), topic=aws.sns.Topic(f"{at}topic").arn)


@admits.passes
def both_admit_sns(at: str) -> None:
    dlq = _admitting(f"{at}dead-", admit({"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}))
    _subscribe(at, _admitting(at, admit(Action=["sqs:Send*"])), redrive_policy=redrive(dlq))


@admits.passes
def a_queue_s_own_policy_admits_sns(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders", policy=document(admit("*")))
    _subscribe(at, arn(f"{at}orders"))


@admits.undecided("subscription")
def a_policy_that_is_not_known_yet(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    queue_policy(at, admit(Resource=queue.arn), queue=queue.url)
    _subscribe(at, queue.arn)


@admits.undecided("subscription")
def a_subscribed_queue_elsewhere(at: str) -> None:
    _subscribe(at, arn("elsewhere"))


@admits.undecided("subscription")
def a_dead_letter_queue_elsewhere(at: str) -> None:
    _subscribe(at, _admitting(at, admit()), redrive_policy=redrive(arn("elsewhere")))


@admits.not_applicable
def a_subscription_of_a_function(at: str) -> None:
    _subscribe(at, arn("function:f"), protocol="lambda")
