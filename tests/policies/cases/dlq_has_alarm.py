from typing import Any

import pulumi
import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.parts import SENDERS, DeadLetter, Guarded, alarm, arn, redrive, role, schedule

cases = Cases("dlq-has-alarm")


def dead_letter_queue(at: str, name: str | None = None) -> aws.sqs.Queue:
    """A dead letter queue with a queue that makes it one."""
    dlq = aws.sqs.Queue(f"{at}dlq", name=name)
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))
    return dlq


@cases.fails("dlq")
def no_alarm(at: str) -> None:
    dead_letter_queue(at)


@cases.fails("dlq")
def an_alarm_on_the_source_instead(at: str) -> None:
    dlq = aws.sqs.Queue(f"{at}dlq")
    queue = aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))
    alarm(f"{at}alarm", queue.name)


@cases.fails("dlq")
def an_alarm_on_a_literal_name_of_another_queue(at: str) -> None:
    dead_letter_queue(at, name=f"{at}dead")
    alarm(f"{at}alarm", f"{at}orders")


@cases.fails("dlq")
def an_alarm_without_dimensions(at: str) -> None:
    dead_letter_queue(at)
    alarm(f"{at}alarm", "", dimensions=None)


@cases.fails("dlq")
def an_alarm_whose_dimension_is_made_from_no_queue(at: str) -> None:
    dead_letter_queue(at)
    alarm(f"{at}alarm", role(f"{at}role", "sqs.amazonaws.com").arn)


@cases.fails("dlq")
def the_queue_under_the_wrong_dimension(at: str) -> None:
    dlq = dead_letter_queue(at, name=f"{at}dead")
    alarm(f"{at}alarm", "", dimensions={"Queue": dlq.name})


@cases.fails("dlq")
def an_alarm_of_another_service(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, namespace="AWS/SNS")


@cases.fails("dlq")
def an_alarm_on_messages_sent_which_redriven_ones_are_not(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, metric_name="NumberOfMessagesSent")


@cases.fails("dlq")
def an_alarm_on_a_count_of_samples(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, statistic="SampleCount")


@cases.fails("dlq")
def an_alarm_on_an_average(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, statistic="Average")


@cases.fails("dlq")
def an_alarm_that_fires_when_there_are_few(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, comparison_operator="LessThanThreshold")


@cases.fails("dlq")
def one_that_two_queues_share(at: str) -> None:
    dlq = dead_letter_queue(at)
    aws.sqs.Queue(f"{at}returns", redrive_policy=redrive(dlq.arn))


@cases.fails("dlq")
def one_named_by_a_separate_policy(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders")
    dlq = aws.sqs.Queue(f"{at}dlq")
    aws.sqs.RedrivePolicy(f"{at}policy", queue_url=queue.url, redrive_policy=redrive(dlq.arn))


@cases.fails("dlq")
def one_named_by_a_literal_arn(at: str) -> None:
    aws.sqs.Queue(f"{at}dlq", name=f"{at}dlq")
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(arn(f"{at}dlq")))


@cases.fails("dlq", "second")
def a_dead_letter_queue_of_a_dead_letter_queue(at: str) -> None:
    second = aws.sqs.Queue(f"{at}second")
    dlq = aws.sqs.Queue(f"{at}dlq", redrive_policy=redrive(second.arn))
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(dlq.arn))


@cases.fails(*SENDERS)
def the_failure_queue_of_whatever_sends_to_one(at: str) -> None:
    for kind, send in SENDERS.items():
        send(f"{at}{kind}-sender", aws.sqs.Queue(f"{at}{kind}").arn)


@cases.fails("orders", "dlq")
def either_of_two_when_it_cannot_be_told_which_a_schedule_sends_its_failures_to(at: str) -> None:
    second = aws.sqs.Queue(f"{at}second")
    alarm(f"{at}alarm", second.name)
    dlq = aws.sqs.Queue(f"{at}dlq", redrive_policy=redrive(second.arn))
    queue = aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(second.arn))
    schedule(f"{at}schedule", failures=dlq.arn, target=queue.arn)


@cases.passes
def an_alarm_by_name(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name)


@cases.passes
def an_alarm_by_literal_name(at: str) -> None:
    dead_letter_queue(at, name=f"{at}dead")
    alarm(f"{at}alarm", f"{at}dead")


@cases.passes
def an_alarm_by_a_name_that_is_not_known_yet(at: str) -> None:
    dlq = dead_letter_queue(at)
    alarm(f"{at}alarm", dlq.arn.apply(lambda of: of.split(":")[-1]))


@cases.passes
def an_alarm_whose_dimensions_are_not_known_yet(at: str) -> None:
    dlq = dead_letter_queue(at)
    alarm(f"{at}alarm", "", dimensions=dlq.arn.apply(lambda of: {"QueueName": of.split(":")[-1]}))


@cases.passes
def an_alarm_at_one_message(at: str) -> None:
    at_least = {"comparison_operator": "GreaterThanOrEqualToThreshold", "threshold": 1}
    alarm(f"{at}alarm", dead_letter_queue(at).name, **at_least)


def _alarm_by_queries(at: str, *others: Any, **given: Any) -> None:
    metric = {
        "namespace": "AWS/SQS",
        "metric_name": "ApproximateNumberOfMessagesVisible",
        "dimensions": {"QueueName": dead_letter_queue(at).name},
        "stat": "Maximum",
        "period": 60,
    }
    aws.cloudwatch.MetricAlarm(
        f"{at}alarm",
        comparison_operator="GreaterThanThreshold",
        threshold=0,
        evaluation_periods=1,
        metric_queries=[{"id": "depth", "metric": metric, **given}, *others],
    )


@cases.fails("dlq")
def an_alarm_on_what_is_made_of_the_depth(at: str) -> None:
    _alarm_by_queries(at, {"id": "none", "expression": "depth * 0", "return_data": True})


@cases.passes
def an_alarm_by_a_metric_query(at: str) -> None:
    _alarm_by_queries(at, {"id": "twice", "expression": "depth * 2"}, return_data=True)


@cases.passes
def one_alarm_for_two_queues_that_share_it(at: str) -> None:
    dlq = dead_letter_queue(at)
    aws.sqs.Queue(f"{at}returns", redrive_policy=redrive(dlq.arn))
    alarm(f"{at}alarm", dlq.name)


@cases.passes
def inside_components(at: str) -> None:
    Guarded(f"{at}guarded")
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(DeadLetter(f"{at}dead").arn))


@cases.passes
def an_alarmed_failure_queue_of_whatever_sends_to_one(at: str) -> None:
    for kind, send in SENDERS.items():
        dlq = aws.sqs.Queue(f"{at}{kind}")
        send(f"{at}{kind}-sender", dlq.arn)
        alarm(f"{at}{kind}-alarm", dlq.name)


@cases.not_applicable
def the_guarded_target_of_a_schedule_that_sends_its_failures_elsewhere(at: str) -> None:
    queue = aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(DeadLetter(f"{at}dead").arn))
    schedule(f"{at}schedule", failures=DeadLetter(f"{at}missed").arn, target=queue.arn)


@cases.not_applicable
def a_queue_that_nothing_sends_failures_to(at: str) -> None:
    aws.sqs.Queue(f"{at}orders")


@cases.not_applicable
def a_dead_letter_queue_elsewhere(at: str) -> None:
    aws.sqs.Queue(f"{at}orders", redrive_policy=redrive(arn("elsewhere")))


@cases.not_applicable
def a_component_without_queues(at: str) -> None:
    pulumi.ComponentResource("test:index:Empty", f"{at}empty")
