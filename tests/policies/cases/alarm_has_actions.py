import pulumi_aws as aws

from tests.policies.case import Cases
from tests.policies.cases.dlq_has_alarm import dead_letter_queue
from tests.policies.cases.parts import ACCOUNT, alarm, composite

cases = Cases("alarm-has-actions")


@cases.fails("alarm")
def no_actions(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=None)


@cases.fails("alarm")
def an_empty_list_of_actions(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=[])


@cases.fails("alarm")
def actions_disabled(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, actions_enabled=False)


@cases.fails("alarm")
def an_action_only_when_all_is_well(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic")
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=None, ok_actions=[topic.arn])


@cases.fails("alarm")
def an_action_made_from_what_cannot_be_one(at: str) -> None:
    dlq = dead_letter_queue(at)
    alarm(f"{at}alarm", dlq.name, alarm_actions=[dlq.arn])


@cases.fails("second")
def one_of_two_alarms(at: str) -> None:
    dlq = dead_letter_queue(at)
    alarm(f"{at}alarm", dlq.name)
    alarm(f"{at}second", dlq.name, alarm_actions=None)


@cases.passes
def a_topic_of_this_stack(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic")
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=[topic.arn])


@cases.passes
def a_literal_arn(at: str) -> None:
    arn = f"arn:aws:ssm:eu-south-1:{ACCOUNT}:opsitem:1"
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=[arn])


@cases.passes
def a_list_that_is_not_known_yet(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic")
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=topic.arn.apply(lambda arn: [arn]))


@cases.passes
def one_of_two_actions_that_counts(at: str) -> None:
    topic = aws.sns.Topic(f"{at}topic")
    alarm(f"{at}alarm", dead_letter_queue(at).name, alarm_actions=["", topic.arn])


@cases.passes
def actions_enabled_in_so_many_words(at: str) -> None:
    alarm(f"{at}alarm", dead_letter_queue(at).name, actions_enabled=True)


@cases.fails("alarm")
def an_alarm_of_a_queue_that_is_no_dead_letter_queue(at: str) -> None:
    alarm(f"{at}alarm", aws.sqs.Queue(f"{at}orders").name, alarm_actions=None)


@cases.fails("alarm")
def another_alarm_of_a_dead_letter_queue(at: str) -> None:
    age = "ApproximateAgeOfOldestMessage"
    alarm(f"{at}alarm", dead_letter_queue(at).name, metric_name=age, alarm_actions=None)


@cases.fails("any")
def a_composite_alarm_without_actions(at: str) -> None:
    composite(f"{at}any", f"ALARM({at}elsewhere)", alarm_actions=None)


@cases.fails("well", "not", "both", "never")
def alarms_that_a_composite_alarm_may_never_tell_of(at: str) -> None:
    for name in ("well", "not", "both", "never"):
        alarm(f"{at}{name}", "elsewhere", name=f"{at}{name}", alarm_actions=None)
    composite(f"{at}one", f'ALARM({at}elsewhere) OR OK("{at}well")')
    composite(f"{at}two", f'NOT ALARM("{at}not")')
    composite(f"{at}three", f'ALARM({at}elsewhere) AND ALARM("{at}both")')
    composite(f"{at}four", f'FALSE AND (ALARM("{at}never"))')


@cases.fails("one", "any")
def an_alarm_that_a_composite_alarm_without_actions_combines(at: str) -> None:
    alarm(f"{at}one", "elsewhere", name=f"{at}one", alarm_actions=None)
    composite(f"{at}any", f'ALARM("{at}one")', actions_enabled=False)


@cases.passes
def a_composite_alarm_with_actions(at: str) -> None:
    composite(f"{at}any", f"ALARM({at}elsewhere)")


@cases.not_applicable
def alarms_that_a_composite_alarm_combines(at: str) -> None:
    alarm(f"{at}one", "elsewhere", name=f"{at}one", alarm_actions=None)
    alarm(f"{at}two", "elsewhere", name=f"{at}two", alarm_actions=None)
    composite(f"{at}any", f'(ALARM("{at}one") OR ALARM ( {at}two )) OR OK({at}elsewhere)')


@cases.not_applicable
def an_alarm_whose_name_holds_an_operator(at: str) -> None:
    alarm(f"{at}one", "elsewhere", name=f"{at}one (orders AND returns)", alarm_actions=None)
    composite(f"{at}any", f'ALARM("{at}one (orders AND returns)") OR ALARM({at}elsewhere)')


@cases.not_applicable
def an_alarm_that_a_composite_alarm_combines_by_what_is_not_known_yet(at: str) -> None:
    combined = alarm(f"{at}alarm", "elsewhere", alarm_actions=None)
    composite(f"{at}any", combined.arn.apply(lambda arn: f"ALARM({arn})"))


@cases.not_applicable
def alarms_that_a_composite_alarm_combines_by_arn(at: str) -> None:
    alarm(f"{at}one", "elsewhere", name=f"{at}one", alarm_actions=None)
    composite(f"{at}any", f"ALARM(arn:aws:cloudwatch:eu-south-1:{ACCOUNT}:alarm:{at}one)")


@cases.not_applicable
def composite_alarms_that_another_combines(at: str) -> None:
    one = composite(f"{at}one", f"ALARM({at}elsewhere)", alarm_actions=None)
    composite(f"{at}two", f"ALARM({at}elsewhere)", alarm_actions=None)
    composite(f"{at}any", f'ALARM("{at}two")')
    composite(f"{at}other", one.arn.apply(lambda arn: f"ALARM({arn})"))


@cases.not_applicable
def an_alarm_that_a_composite_alarm_combines_which_another_combines(at: str) -> None:
    alarm(f"{at}one", "elsewhere", name=f"{at}one", alarm_actions=None)
    composite(f"{at}inner", f'ALARM("{at}one")', alarm_actions=None)
    composite(f"{at}outer", f'ALARM("{at}inner")')


@cases.not_applicable
def no_alarm(at: str) -> None:
    aws.sns.Topic(f"{at}topic")
