import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.dlq_has_alarm import dead_letter_queue
from tests.policies.cases.parts import alarm, unknown

cases = Cases("dlq-alarm-rests-without-data")


@cases.fails("alarm")
def by_default(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name)


@cases.fails("alarm")
def missing_data_as_a_breach(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, treat_missing_data="breaching")


@cases.passes
def missing_data_as_no_breach(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, treat_missing_data="notBreaching")


@cases.undecided("alarm")
def what_is_not_known_yet(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, treat_missing_data=unknown(at))


@cases.not_applicable
def an_alarm_of_a_queue_that_is_no_dead_letter_queue(at: str) -> None:
    alarm(f"{at}alarm", aws.sqs.Queue(f"{at}orders").name)
