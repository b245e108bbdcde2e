import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ExperimentError
from bench.faults.injection import INJECTIONS
from bench.faults.schedule import FAULTS, LANES, NEEDS_PUSH, PUSH_CUT, SETTLED_S, schedule

seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_the_same_seed_makes_the_same_schedule(seed: int) -> None:
    assert schedule(seed, 90) == schedule(seed, 90)


def test_another_seed_makes_another_schedule() -> None:
    assert schedule(1, 90) != schedule(2, 90)


@given(seeds, st.floats(80, 200))
def test_every_fault_strikes_once_for_its_length_within_the_run(seed: int, seconds: float) -> None:
    strikes = schedule(seed, seconds)
    lengths = {fault: length for lane in LANES for fault, length in lane.items()}
    assert sorted(strike.fault for strike in strikes) == sorted(FAULTS)
    for strike in strikes:
        assert strike.end_s - strike.begin_s == pytest.approx(lengths[strike.fault])
        assert strike.begin_s >= SETTLED_S
        assert strike.end_s <= seconds + 1  # each gap is rounded to a tenth of a second


@given(seeds)
def test_faults_of_a_lane_strike_one_at_a_time(seed: int) -> None:
    strikes = schedule(seed, 90)
    for lane in LANES:
        own = [strike for strike in strikes if strike.fault in lane]
        assert not any(a.overlaps(b) for a in own for b in own if a is not b)


@given(seeds)
def test_what_breaks_messages_strikes_while_there_are_some(seed: int) -> None:
    strikes = {strike.fault: strike for strike in schedule(seed, 90)}
    assert not any(strikes[fault].overlaps(strikes[PUSH_CUT]) for fault in NEEDS_PUSH)


def test_chosen_faults_strike_alone() -> None:
    assert [strike.fault for strike in schedule(1, 20, ["task killed"])] == ["task killed"]


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [(40, [PUSH_CUT]), (44, [PUSH_CUT, "ReceiveMessage cut"])],
    ids=["too long for the run", "no time without the cut"],
)
def test_faults_that_do_not_fit_are_one_clear_line(seconds: float, chosen: list[str]) -> None:
    with pytest.raises(
        ExperimentError, match=rf"faults do not fit into {seconds} s: give more, or choose fewer"
    ):
        schedule(1, seconds, chosen)


def test_every_fault_of_the_schedule_can_be_injected() -> None:
    assert set(INJECTIONS) == set(FAULTS)
