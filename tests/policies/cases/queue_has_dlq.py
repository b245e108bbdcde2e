import json

import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import (
    ACCOUNT,
    SENDERS,
    DeadLetter,
    Guarded,
    alarm,
    arn,
    redrive,
    role,
    schedule,
)

cases = Cases("queue-has-dlq")


@cases.fails("orders")
def nothing_set(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")


@cases.fails("orders")
def made_outside_the_component_that_guards_queues(at: str) -> None:
    Guarded(f"{at}guarded")
    aws.sqs.Queue(f"{at}orders")


@cases.fails("orders")
def only_an_alarm(at: str) -> None:
    alarm(f"{at}alarm", aws.sqs.Queue(f"{at}orders").name)


@cases.fails("orders")
def a_policy_without_a_target(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=json.dumps({"maxReceiveCount": 5}))


@cases.fails("orders")
def a_policy_that_is_no_document(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy="none")


@cases.fails("orders")
def a_policy_made_from_what_is_no_queue(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(role(f"{at}role", "sqs.amazonaws.com").arn))


@cases.fails("orders")
def only_the_other_half_of_redriving(at: str) -> None:
    everyone = json.dumps({"redrivePermission": "allowAll"})
    aws.sqs.Queue(f"{at}orders", redrive_allow_policy=everyone)


@cases.fails("orders")
def a_separate_policy_for_another_queue(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")
    other = aws.sqs.Queue(f"{at}other")
    dlq = aws.sqs.Queue(f"{at}dlq")
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=other.url, redrive_policy=redrive(dlq.arn))


@cases.fails("orders")
def a_separate_policy_without_a_target(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    aws.sqs.RedrivePolicy(
        f"{at}policy", queue_url=queue.url, redrive_policy=json.dumps({"maxReceiveCount": 5})
    )


@cases.fails("orders")
def the_target_of_a_schedule_that_keeps_no_failures(at: str) -> None:
    schedule(f"{at}schedule", failures=None, target=aws.sqs.Queue(f"{at}orders").arn)


@cases.fails("orders")
def a_component_of_the_same_name_beside_it(at: str) -> None:
    component = pulumi.ComponentResource("test:index:Orders", f"{at}orders")
    aws.sqs.Queue(f"{at}orders", opts=pulumi.ResourceOptions(parent=component))


@cases.passes
def a_policy_by_json_dumps(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(aws.sqs.Queue(f"{at}dlq").arn))


@cases.passes
def a_policy_by_apply(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq")
    aws.sqs.Queue(
        f"{at}orders",
        redrive_policy=dlq.arn.apply(
            lambda of: json.dumps({"deadLetterTargetArn": of, "maxReceiveCount": 5})
        ),
    )


@cases.passes
def a_policy_from_a_component_and_several_values(at: str) -> None:
    dlq = DeadLetter(f"{at}dlq")
    receives = role(f"{at}role", "sqs.amazonaws.com").arn.apply(len)
    document = pulumi.Output.json_dumps({"deadLetterTargetArn": dlq.arn, "maxReceiveCount": receives})
    aws.sqs.Queue(f"{at}orders", redrive_policy=document)


@cases.passes
def a_queue_inside_a_component(at: str) -> None:
    Guarded(f"{at}orders")


@cases.passes
def the_literal_arn_of_a_queue_of_this_stack(at: str) -> None:
    aws.sqs.Queue(f"{at}dead", name=f"{at}dead")
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(arn(f"{at}dead")))


@cases.passes
def the_literal_arn_of_a_queue_elsewhere(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(arn("elsewhere")))


@cases.passes
def a_separate_policy(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    dlq = aws.sqs.Queue(f"{at}dlq")
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=queue.id, redrive_policy=redrive(dlq.arn))


@cases.passes
def a_separate_policy_by_literal_url_and_arn(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", name=f"{at}orders")
    aws.sqs.Queue(f"{at}dead", name=f"{at}dead")
    url = f"https://sqs.eu-south-1.amazonaws.com/{ACCOUNT}/{at}orders"
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=url, redrive_policy=redrive(arn(f"{at}dead")))


@cases.passes
def two_queues_that_share_one(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq")
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))
    aws.sqs.Queue(f"{at}returns", redrive_policy=redrive(dlq.arn))


@cases.passes
def a_guarded_queue_that_is_the_target_of_a_schedule(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq")
    queue = aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))
    schedule(f"{at}schedule", failures=aws.sqs.Queue(f"{at}missed").arn, target=queue.arn)


@cases.not_applicable
def no_queue(at: str) -> None:
    aws.sns.Topic(f"{at}topic")


@cases.not_applicable
def the_failure_queue_of_whatever_sends_to_one(at: str) -> None:
    for kind, send in SENDERS.items():
        send(f"{at}{kind}-sender", aws.sqs.Queue(f"{at}{kind}").arn)


@cases.not_applicable
def the_failure_queue_by_literal_arn_of_whatever_sends_to_one(at: str) -> None:
    for kind, send in SENDERS.items():
        aws.sqs.Queue(f"{at}{kind}", name=f"{at}{kind}")
        send(f"{at}{kind}-sender", arn(f"{at}{kind}"))
