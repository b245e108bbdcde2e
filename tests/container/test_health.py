from dataclasses import replace
from itertools import product
from typing import Any, cast

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from consumer.__main__ import make_task
from consumer.failures import LONGEST_DELAY_SECONDS, Failures, Trouble
from consumer.health import (
    PATIENCE_SECONDS,
    SILENCE_SECONDS,
    START_SECONDS,
    UNANSWERED_PATIENCE_SECONDS,
    Facts,
    Reason,
    judge,
)
from consumer.metadata import Metadata
from tests.container.test_inbox import SETTINGS

WELL = Facts(
    starting=None,
    waiting=None,
    snapshot_complete=True,
    push_works=True,
    push_late=False,
    polling=False,
    troubles=(),
    reading=None,
    silent={"inbox": 0, "reader": 0},
    long_poll_seconds=20,
    poison=0,
)
STARTING = WELL._replace(starting=START_SECONDS, snapshot_complete=False, push_works=False)
FALLEN_BACK = WELL._replace(push_late=True, polling=True)
# What a task without a slot knows.
WAITING = STARTING._replace(waiting="no free slot: 8 of 8 leased", silent={})
CODES = ["cannot-lease", "cannot-receive", "cannot-apply"]


def trouble(
    code: str = "cannot-receive",
    seconds: float = PATIENCE_SECONDS + 1,
    curable: bool = True,
    answered: bool = True,
) -> Trouble:
    return Trouble(code, seconds, "some error", curable, answered)


def codes(facts: Facts) -> tuple[list[str], list[str]]:
    """Of the reasons not to be healthy, and not to be ready."""
    health = judge(facts)
    return [reason.code for reason in health.unhealthy], [reason.code for reason in health.unready]


def test_a_task_without_a_fact_against_it_is_healthy_and_ready() -> None:
    assert judge(WELL) == ([], [])


def test_a_task_that_has_never_held_the_table_is_not_healthy_yet_for_a_while() -> None:
    assert codes(STARTING._replace(starting=0.0)) == (["starting"], ["snapshot-incomplete"])
    assert codes(WAITING._replace(starting=START_SECONDS - 1)) == (["starting"], ["no-slot"])
    # Whatever keeps it from it then, a replacement would not cure; what one would is told all the same.
    assert codes(STARTING) == ([], ["snapshot-incomplete"])
    assert codes(STARTING._replace(reading=trouble("cannot-read", 200)))[0] == ["cannot-read"]


def test_a_task_that_polls_while_push_is_late_is_healthy_and_ready() -> None:
    assert judge(FALLEN_BACK) == ([], [])


@pytest.mark.parametrize("code", CODES)
def test_what_fails_for_too_long_is_unhealthy(code: str) -> None:
    reason = Reason(code, "for 31 s: some error")
    assert judge(WELL._replace(troubles=[trouble(code)])) == ([reason], [reason])


@pytest.mark.parametrize("code", CODES)
def test_what_fails_since_recently_is_only_unready(code: str) -> None:
    reason = Reason(code, "for 30 s: some error")
    assert judge(WELL._replace(troubles=[trouble(code, PATIENCE_SECONDS)])) == ([], [reason])


READING = trouble("cannot-read")


@pytest.mark.parametrize("facts", [STARTING, STARTING._replace(push_works=True), FALLEN_BACK])
def test_a_snapshot_or_a_fallback_that_cannot_read_is_unhealthy(facts: Facts) -> None:
    told = Reason("cannot-read", "for 31 s: some error")
    health = judge(facts._replace(reading=READING))
    assert health.unhealthy == [told]
    assert told in health.unready


def test_a_rescan_that_cannot_read_is_no_reason_while_push_works() -> None:
    assert judge(WELL._replace(reading=READING)) == ([], [])


def test_once_push_is_back_a_poll_that_cannot_read_is_no_reason() -> None:
    assert judge(FALLEN_BACK._replace(push_late=False, reading=READING)) == ([], [])


@pytest.mark.parametrize("facts", [WELL, STARTING, FALLEN_BACK])
def test_what_the_service_does_to_all_tasks_is_never_unhealthy(facts: Facts) -> None:
    theirs = [trouble(code, 9_999, curable=False) for code in CODES]
    reading = trouble("cannot-read", 9_999, curable=False)
    health = judge(facts._replace(troubles=theirs, reading=reading))
    assert health.unhealthy == []
    assert health.unready[0] == Reason("cannot-lease", "for 9999 s, by the service: some error")


# Its lease is lost, too, when DynamoDB does not answer; and in the next tenure the scan does not end.
@pytest.mark.parametrize(
    "facts", [WELL, FALLEN_BACK, WAITING._replace(starting=None), STARTING._replace(starting=None)]
)
@pytest.mark.parametrize(
    ("seconds", "replaced"), [(UNANSWERED_PATIENCE_SECONDS, False), (UNANSWERED_PATIENCE_SECONDS + 1, True)]
)
def test_while_nobody_answers_a_task_that_holds_the_state_is_kept_for_long(
    facts: Facts, seconds: float, replaced: bool
) -> None:
    unanswered = [trouble(code, seconds, answered=False) for code in CODES]
    unhealthy, unready = codes(facts._replace(troubles=unanswered))
    assert unhealthy == (CODES if replaced else [])
    assert unready[: len(CODES)] == CODES


@pytest.mark.parametrize("facts", [STARTING, WAITING])
def test_while_nobody_answers_a_task_that_holds_nothing_is_replaced_soon(facts: Facts) -> None:
    assert codes(facts._replace(troubles=[trouble(answered=False)]))[0] == ["cannot-receive"]


def test_no_free_slot_is_unready_and_healthy() -> None:
    assert judge(WAITING) == ([], [Reason("no-slot", "no free slot: 8 of 8 leased")])


def test_an_unfinished_snapshot_is_unready_and_healthy() -> None:
    assert codes(STARTING) == ([], ["snapshot-incomplete"])
    assert codes(STARTING._replace(push_works=True)) == ([], ["snapshot-incomplete"])


def test_after_the_snapshot_a_watermark_must_have_come_or_the_table_be_polled() -> None:
    silent = WELL._replace(push_works=False)
    assert codes(silent) == ([], ["no-watermark"])
    assert codes(silent._replace(push_late=True, polling=True)) == ([], [])


def test_poison_is_unready_and_healthy() -> None:
    assert judge(WELL._replace(poison=2)) == ([], [Reason("poison", "2 on the last receive")])


@pytest.mark.parametrize("thread", ["inbox", "reader"])
def test_a_thread_without_a_sign_of_life_is_unhealthy(thread: str) -> None:
    reason = Reason(f"{thread}-stopped", "no sign of life for 81 s")
    assert judge(WELL._replace(silent={thread: 20 + SILENCE_SECONDS})) == ([], [])
    assert judge(WELL._replace(silent={thread: 20 + SILENCE_SECONDS + 1})) == ([reason], [reason])


@pytest.mark.parametrize("long_poll_seconds", [0, 20])
def test_a_call_that_hangs_is_given_up_before_its_thread_passes_for_stopped(
    monkeypatch: pytest.MonkeyPatch, long_poll_seconds: int
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
    task = make_task(replace(SETTINGS, long_poll_seconds=long_poll_seconds), Metadata("arn:task", None))
    for client in (task._sqs, task._dynamodb):
        config: Any = client.meta.config
        tries = config.retries["total_max_attempts"]
        # boto3 waits between two tries for at most a second, then two: its standard mode.
        waits = sum(2**retry for retry in range(tries - 1))
        hangs = tries * (config.connect_timeout + config.read_timeout) + waits
        assert hangs < long_poll_seconds + SILENCE_SECONDS
    assert cast(Any, task._sqs.meta.config).read_timeout > long_poll_seconds


# Every combination of what may be so: 3 × 3 × 2 × 2 × 2 × 2 × 6 × 5 × 3 × 2 = 25,920 rows.
TROUBLES: Any = [
    (),
    (trouble(),),
    (trouble(curable=False),),
    (trouble(answered=False),),
    (trouble(seconds=1),),
    (trouble("cannot-lease"), trouble("cannot-apply")),
]
READINGS = [
    None,
    READING,
    trouble("cannot-read", curable=False),
    trouble("cannot-read", seconds=901, answered=False),
    trouble("cannot-read", seconds=1),
]
SILENT: Any = [{}, {"inbox": 9_999.0, "reader": 0.0}, {"inbox": 9_999.0, "reader": 9_999.0}]
ALL = [
    Facts(starting, waiting, complete, works, late, polling, troubles, reading, silent, 20, poison)
    for starting, waiting, complete, works, late, polling, troubles, reading, silent, poison in product(
        [None, 0.0, START_SECONDS],
        [None, "no free slot: 2 of 2 leased", "no slot: the last one was lost"],
        *[[True, False]] * 4,
        TROUBLES,
        READINGS,
        SILENT,
        [0, 1],
    )
]


def test_a_table_of_every_combination() -> None:
    assert len(ALL) == 25_920
    for facts in ALL:
        unhealthy, unready = codes(facts)
        needed = facts.push_late or not facts.snapshot_complete
        failing = [*facts.troubles, *([facts.reading] if facts.reading and needed else [])]
        kept = {of for of in failing if facts.starting is None and not of.answered and of.seconds <= 900}
        curable = [of.code for of in failing if of.seconds > 30 and of.curable and of not in kept]
        stopped = [f"{thread}-stopped" for thread, seconds in facts.silent.items() if seconds > 80]
        starting = ["starting"] if facts.starting == 0 else []
        assert sorted(unhealthy) == sorted(curable + stopped + starting), facts
        expected = [of.code for of in failing] + stopped
        if facts.waiting:
            expected.append("no-slot")
        elif not facts.snapshot_complete:
            expected.append("snapshot-incomplete")
        elif not facts.push_works and not facts.polling:
            expected.append("no-watermark")
        if facts.poison:
            expected.append("poison")
        assert sorted(unready) == sorted(expected), facts


THROTTLING = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Scan")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Scan")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://sqs")


def test_failures_in_a_row_are_one_trouble_until_a_success() -> None:
    clock = iter([100.0, 107.0, 107.0])
    failures = Failures("cannot-receive", lambda: next(clock))
    assert failures.trouble() is None
    failures.add(THROTTLING)
    failures.add(DENIED)
    assert failures.trouble() == Trouble("cannot-receive", 7.0, str(DENIED), curable=True)
    failures.clear()
    assert failures.trouble() is None


def test_a_single_failure_does_not_grow_older_by_itself() -> None:
    failures = Failures("cannot-receive", lambda: 100.0)
    failures.add(UNREACHABLE)
    assert failures.trouble() == Trouble(
        "cannot-receive", 0.0, str(UNREACHABLE), curable=True, answered=False
    )


def test_what_is_not_tried_again_is_trouble_for_a_while_only() -> None:
    now = 100.0
    failures = Failures("cannot-apply", lambda: now, lapse_seconds=60)
    failures.add(DENIED)
    now = 131.0
    failures.add(DENIED)
    now = 191.0
    assert failures.trouble() == Trouble("cannot-apply", 31.0, str(DENIED), curable=True)
    now = 191.1
    assert failures.trouble() is None
    failures.add(DENIED)
    assert failures.trouble() == Trouble("cannot-apply", 0.0, str(DENIED), curable=True)


def test_throttling_is_told_from_other_errors() -> None:
    codes = ["ThrottlingException", "RequestThrottled", "ProvisionedThroughputExceededException", "OverLimit"]
    for code in codes:
        failures = Failures("cannot-receive", lambda: 0.0)
        failures.add(ClientError({"Error": {"Code": code, "Message": ""}}, "ReceiveMessage"))
        found = failures.trouble()
        assert found
        assert not found.curable, code


@pytest.mark.parametrize(("status", "curable"), [(400, True), (403, True), (500, False), (503, False)])
def test_a_service_that_fails_is_told_from_one_that_refuses(status: int, curable: bool) -> None:
    told: Any = {"Error": {"Code": "Some", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    failures = Failures("cannot-lease", lambda: 0.0)
    failures.add(ClientError(told, "UpdateItem"))
    found = failures.trouble()
    assert found
    assert found.curable is curable


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (UNREACHABLE, False),
        (ConnectTimeoutError(endpoint_url="https://sqs"), False),
        (ReadTimeoutError(endpoint_url="https://sqs"), False),
        (ConnectionClosedError(endpoint_url="https://sqs"), False),
        (DENIED, True),
        (NoCredentialsError(), True),  # not the service's silence: this task lacks something
    ],
)
def test_that_nobody_answered_is_told_from_an_answer(error: Exception, answered: bool) -> None:
    failures = Failures("cannot-lease", lambda: 0.0)
    failures.add(error)
    found = failures.trouble()
    assert found
    assert found.answered is answered


def test_the_delay_between_tries_is_bounded() -> None:
    failures = Failures("cannot-receive", lambda: 0.0)
    assert all(0 <= failures.add(DENIED) <= LONGEST_DELAY_SECONDS for _ in range(2_000))
