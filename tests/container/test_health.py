from itertools import product

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from consumer.failures import LONGEST_DELAY_SECONDS, Failures, Trouble
from consumer.health import PATIENCE_SECONDS, SILENCE_SECONDS, Facts, judge

WELL = Facts(
    waiting=None, snapshot_complete=True, troubles=(), silent_seconds=0, long_poll_seconds=20, poison=0
)
WHATS = ["receive", "read the snapshot", "take or renew a lease"]


def trouble(what: str = "receive", seconds: float = PATIENCE_SECONDS + 1, throttled: bool = False) -> Trouble:
    return Trouble(what, seconds, "some error", throttled)


def test_a_task_without_a_fact_against_it_is_healthy_and_ready() -> None:
    assert judge(WELL) == ([], [])


@pytest.mark.parametrize("what", WHATS)
def test_what_fails_for_too_long_is_unhealthy(what: str) -> None:
    reason = f"cannot {what}: for 31 s: some error"
    assert judge(WELL._replace(troubles=[trouble(what)])) == ([reason], [reason])


@pytest.mark.parametrize("what", WHATS)
def test_what_fails_since_recently_is_only_unready(what: str) -> None:
    reason = f"cannot {what}: for 30 s: some error"
    assert judge(WELL._replace(troubles=[trouble(what, PATIENCE_SECONDS)])) == ([], [reason])


@pytest.mark.parametrize("what", WHATS)
def test_throttling_is_never_unhealthy(what: str) -> None:
    reason = f"cannot {what}: for 9999 s, throttled: some error"
    assert judge(WELL._replace(troubles=[trouble(what, 9_999, throttled=True)])) == ([], [reason])


def test_no_free_slot_is_unready_and_healthy() -> None:
    facts = WELL._replace(
        waiting="no free slot: 8 of 8 leased", snapshot_complete=False, silent_seconds=9_999
    )
    assert judge(facts) == ([], ["no free slot: 8 of 8 leased"])


def test_an_unfinished_snapshot_is_unready_and_healthy() -> None:
    assert judge(WELL._replace(snapshot_complete=False)) == ([], ["snapshot incomplete"])


def test_poison_is_unready_and_healthy() -> None:
    assert judge(WELL._replace(poison=2)) == ([], ["poison: 2 on the last receive"])


def test_an_inbox_without_a_sign_of_life_is_unhealthy() -> None:
    reason = "inbox stopped: no sign of life for 81 s"
    assert judge(WELL._replace(silent_seconds=20 + SILENCE_SECONDS)) == ([], [])
    assert judge(WELL._replace(silent_seconds=20 + SILENCE_SECONDS + 1)) == ([reason], [reason])


@pytest.mark.parametrize(
    "facts",
    [
        Facts(waiting, complete, troubles, silent, 20, poison)
        for waiting, complete, troubles, silent, poison in product(
            [None, "no free slot: 2 of 2 leased"],
            [True, False],
            [
                (),
                (trouble(),),
                (trouble(throttled=True),),
                (trouble(seconds=1),),
                (trouble(), trouble("lease")),
            ],
            [0.0, 9_999.0],
            [0, 1],
        )
    ],
)
def test_every_combination_is_judged_by_its_parts(facts: Facts) -> None:
    health = judge(facts)
    silent = facts.waiting is None and facts.silent_seconds > 80
    curable = [trouble for trouble in facts.troubles if trouble.seconds > 30 and not trouble.throttled]
    assert len(health.unhealthy) == len(curable) + silent
    assert set(health.unhealthy) <= set(health.unready)
    up_to_date = facts.waiting is None and facts.snapshot_complete
    assert len(health.unready) == len(facts.troubles) + silent + (not up_to_date) + bool(facts.poison)


THROTTLING = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Scan")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Scan")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://sqs")


def test_failures_in_a_row_are_one_trouble_until_a_success() -> None:
    clock = iter([100.0, 107.0])
    failures = Failures("receive", lambda: next(clock))
    assert failures.trouble() is None
    failures.add(THROTTLING)
    failures.add(DENIED)
    assert failures.trouble() == Trouble("receive", 7.0, str(DENIED), throttled=False)
    failures.clear()
    assert failures.trouble() is None


def test_a_single_failure_does_not_grow_older_by_itself() -> None:
    failures = Failures("receive", iter([100.0]).__next__)
    failures.add(UNREACHABLE)
    assert failures.trouble() == Trouble("receive", 0.0, str(UNREACHABLE), throttled=False)


def test_throttling_is_told_from_other_errors() -> None:
    codes = ["ThrottlingException", "RequestThrottled", "ProvisionedThroughputExceededException", "OverLimit"]
    for code in codes:
        failures = Failures("receive", lambda: 0.0)
        failures.add(ClientError({"Error": {"Code": code, "Message": ""}}, "ReceiveMessage"))
        found = failures.trouble()
        assert found
        assert found.throttled, code


def test_the_delay_between_tries_is_bounded() -> None:
    failures = Failures("receive", lambda: 0.0)
    assert all(0 <= failures.add(DENIED) <= LONGEST_DELAY_SECONDS for _ in range(2_000))
