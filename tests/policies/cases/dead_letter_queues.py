import json

import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import TOPIC_ARN, arn, function, redrive, subscription, unknown, url

DAY = 24 * 3600

outlasts = Cases("dlq-outlasts-source")


@outlasts.fails("orders")
def both_by_default(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(aws.sqs.Queue(f"{at}dlq").arn))


@outlasts.fails("orders")
def as_long_as_its_source(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", message_retention_seconds=DAY)
    aws.sqs.Queue(f"{at}orders", message_retention_seconds=DAY, redrive_policy=redrive(dlq.arn))


@outlasts.fails("returns")
def longer_than_one_of_two_sources(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", message_retention_seconds=2 * DAY)
    aws.sqs.Queue(f"{at}orders", message_retention_seconds=DAY, redrive_policy=redrive(dlq.arn))
    aws.sqs.Queue(f"{at}returns", redrive_policy=redrive(dlq.arn))


@outlasts.fails("policy")
def shorter_by_a_separate_policy(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", message_retention_seconds=60)
    queue = aws.sqs.Queue(f"{at}orders")
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=queue.url, redrive_policy=redrive(dlq.arn))


@outlasts.fails("orders")
def shorter_by_literal_arn(at: str) -> None:
    aws.sqs.Queue(f"{at}dead", name=f"{at}dead", message_retention_seconds=60)
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(arn(f"{at}dead")))


@outlasts.passes
def longer(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", message_retention_seconds=14 * DAY)
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))


@outlasts.passes
def shorter_where_age_starts_anew(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", fifo_queue=True, message_retention_seconds=60)
    aws.sqs.Queue(f"{at}orders", fifo_queue=True, redrive_policy=redrive(dlq.arn))


@outlasts.undecided("orders")
def a_dead_letter_queue_elsewhere(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(arn("elsewhere")))


@outlasts.undecided("orders")
def a_retention_that_is_not_known_yet(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq", message_retention_seconds=unknown(at).apply(len))
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))


@outlasts.not_applicable
def no_dead_letter_queue(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")


fit = Cases("receives-fit-retention")
DEAD = {"deadLetterTargetArn": arn("elsewhere")}


@fit.fails("orders")
def as_long_as_its_retention(at: str) -> None:
    policy = json.dumps(DEAD | {"maxReceiveCount": 2})
    aws.sqs.Queue(f"{at}orders", message_retention_seconds=60, redrive_policy=policy)


@fit.fails("orders")
def a_count_in_quotes(at: str) -> None:
    policy = json.dumps(DEAD | {"maxReceiveCount": "1000"})
    aws.sqs.Queue(f"{at}orders", visibility_timeout_seconds=400, redrive_policy=policy)


@fit.passes
def by_default(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=json.dumps(DEAD | {"maxReceiveCount": 5}))


@fit.passes
def received_again_at_once(at: str) -> None:
    policy = json.dumps(DEAD | {"maxReceiveCount": 1000})
    aws.sqs.Queue(
        f"{at}orders", visibility_timeout_seconds=0, message_retention_seconds=60, redrive_policy=policy
    )


@fit.undecided("orders")
def a_policy_that_is_not_known_yet(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(aws.sqs.Queue(f"{at}dlq").arn))


@fit.undecided("orders")
def a_visibility_timeout_that_is_not_known_yet(at: str) -> None:
    seconds = unknown(at).apply(len)
    policy = json.dumps(DEAD | {"maxReceiveCount": 5})
    aws.sqs.Queue(f"{at}orders", visibility_timeout_seconds=seconds, redrive_policy=policy)


@fit.not_applicable
def a_queue_that_gives_nothing_up(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", visibility_timeout_seconds=120, message_retention_seconds=60)


separate = Cases("separate-policy-s-receives-fit-retention")


def _separate(at: str, receives: int, queue: aws.sqs.Queue) -> None:
    policy = json.dumps(DEAD | {"maxReceiveCount": receives})
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=queue.url, redrive_policy=policy)


@separate.fails("policy")
def longer_than_the_retention(at: str) -> None:
    _separate(at, 3, aws.sqs.Queue(f"{at}orders", message_retention_seconds=60))


@separate.passes
def shorter_than_the_retention(at: str) -> None:
    _separate(at, 3, aws.sqs.Queue(f"{at}orders"))


@separate.undecided("policy")
def a_separate_policy_that_is_not_known_yet(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    document = redrive(aws.sqs.Queue(f"{at}dlq").arn)
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=queue.url, redrive_policy=document)


@separate.not_applicable
def a_queue_elsewhere(at: str) -> None:
    policy = json.dumps(DEAD | {"maxReceiveCount": 5})
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=url("elsewhere"), redrive_policy=policy)


subscribed = Cases("subscription-has-dlq")


@subscribed.fails("subscription")
def none(at: str) -> None:
    aws.sns.TopicSubscription(f"{at}subscription", topic=TOPIC_ARN, protocol="sqs", endpoint=arn("elsewhere"))


@subscribed.fails("subscription")
def a_document_without_a_target(at: str) -> None:
    aws.sns.TopicSubscription(
        f"{at}subscription",
        topic=TOPIC_ARN,
        protocol="sqs",
        endpoint=arn("elsewhere"),
        redrive_policy=json.dumps({}),
    )


@subscribed.passes
def a_queue_of_this_stack(at: str) -> None:
    subscription(f"{at}subscription", aws.sqs.Queue(f"{at}dlq").arn)


@subscribed.passes
def a_literal_arn(at: str) -> None:
    subscription(f"{at}subscription", arn("elsewhere"))


@subscribed.undecided("subscription")
def a_protocol_that_is_not_known_yet(at: str) -> None:
    aws.sns.TopicSubscription(
        f"{at}subscription", topic=TOPIC_ARN, protocol=unknown(at), endpoint=arn("elsewhere")
    )


@subscribed.not_applicable
def a_subscription_of_a_person(at: str) -> None:
    aws.sns.TopicSubscription(f"{at}subscription", topic=TOPIC_ARN, protocol="email", endpoint="a@b.it")


visibility = Cases("visibility-outlasts-function")


def _reads(at: str, queue: pulumi.Input[str], name: pulumi.Input[str]) -> None:
    aws.lambda_.EventSourceMapping(f"{at}mapping", event_source_arn=queue, function_name=name)


@visibility.fails("mapping")
def five_times(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders", visibility_timeout_seconds=50)
    _reads(at, queue.arn, function(f"{at}function", timeout=10).arn)


@visibility.fails("mapping")
def through_an_alias(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    name = function(f"{at}function", timeout=10).name
    alias = aws.lambda_.Alias(f"{at}alias", function_name=name, function_version="1")
    _reads(at, queue.arn, alias.arn)


@visibility.fails("mapping")
def by_literal_arns(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders", visibility_timeout_seconds=17)
    function(f"{at}function", name=f"{at}function")
    _reads(at, arn(f"{at}orders"), arn(f"function:{at}function:live").replace("sqs", "lambda"))


@visibility.passes
def six_times_by_default(at: str) -> None:
    _reads(at, aws.sqs.Queue(f"{at}orders").arn, function(f"{at}function", timeout=5).name)


@visibility.undecided("mapping")
def a_function_elsewhere(at: str) -> None:
    _reads(at, aws.sqs.Queue(f"{at}orders").arn, "elsewhere")


@visibility.undecided("mapping")
def a_read_queue_elsewhere(at: str) -> None:
    _reads(at, arn("elsewhere"), function(f"{at}function").name)


@visibility.undecided("mapping")
def a_timeout_that_is_not_known_yet(at: str) -> None:
    reader = function(f"{at}function", timeout=unknown(at).apply(len))
    _reads(at, aws.sqs.Queue(f"{at}orders").arn, reader.name)


@visibility.not_applicable
def a_stream(at: str) -> None:
    table = arn("table/t/stream/1").replace("sqs", "dynamodb")
    _reads(at, table, function(f"{at}function").name)


bounded = Cases("function-is-bounded")


def _invoked(at: str, name: pulumi.Input[str], **destination: str) -> None:
    aws.lambda_.FunctionEventInvokeConfig(
        f"{at}invocation", function_name=name, destination_config={"on_failure": destination}
    )


@bounded.fails("function")
def neither(at: str) -> None:
    function(f"{at}function")


@bounded.fails("function")
def no_bound_in_so_many_words(at: str) -> None:
    function(f"{at}function", reserved_concurrent_executions=-1)


@bounded.fails("function")
def another_function_s_destination(at: str) -> None:
    function(f"{at}function", name=f"{at}function")
    _invoked(at, "elsewhere", destination=arn("elsewhere"))


@bounded.passes
def a_bound(at: str) -> None:
    function(f"{at}function", reserved_concurrent_executions=0)


@bounded.passes
def a_queue_of_its_own(at: str) -> None:
    function(f"{at}function", arn("elsewhere"))


@bounded.passes
def a_destination_of_what_invokes_it(at: str) -> None:
    _invoked(at, function(f"{at}function").name, destination=aws.sqs.Queue(f"{at}dlq").arn)


@bounded.passes
def a_destination_of_its_alias_s_mapping(at: str) -> None:
    name = function(f"{at}function").name
    alias = aws.lambda_.Alias(f"{at}alias", function_name=name, function_version="1")
    aws.lambda_.EventSourceMapping(
        f"{at}mapping",
        event_source_arn=unknown(at),
        function_name=alias.arn,
        destination_config={"on_failure": {"destination_arn": arn("elsewhere")}},
    )


@bounded.passes
def the_dead_letter_queue_of_the_queue_that_it_reads(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(aws.sqs.Queue(f"{at}dlq").arn))
    _reads(at, queue.arn, function(f"{at}function").name)


@bounded.fails("function")
def a_queue_that_gives_nothing_up_to_read(at: str) -> None:
    _reads(at, aws.sqs.Queue(f"{at}orders").arn, function(f"{at}function").name)


@bounded.undecided("function")
def a_bound_that_is_not_known_yet(at: str) -> None:
    function(f"{at}function", reserved_concurrent_executions=unknown(at).apply(len))


@bounded.not_applicable
def an_alias(at: str) -> None:
    aws.lambda_.Alias(f"{at}alias", function_name="elsewhere", function_version="1")
