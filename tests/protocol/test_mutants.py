"""Every rule is needed: without it some history diverges. If a mutant lives, the model is too weak.

`PROTOCOL_MUTANT_HISTORIES=N` counts how many of N histories each one breaks; otherwise the first is enough.
"""

import os

import pytest

from tests.protocol.histories import divergence
from tests.protocol.mutants import MUTANTS
from tests.protocol.small import SMALL
from tests.protocol.task import DivergenceError

COUNTED = int(os.environ.get("PROTOCOL_MUTANT_HISTORIES", "0"))
MOST = COUNTED or 20_000

# Broken by few histories: by which small one, then.
RARE = {
    "DoubtsByWhenItWasSent": "a_put_reaches_the_queue_long_after_its_removal",
    "ForgetsDuringAScan": "a_page_is_in_hand_for_longer_than_a_tombstone_lasts",
    "ForgetsThatTombstonesExpired": "a_forwarder_is_later_than_a_tombstone_lasts",
    "TrustsWhatItHeldBefore": "a_task_changes_its_slot_and_finds_a_leftover_of_what_it_holds",
    "TakesPagesOfAScanThatWasReplaced": "a_page_outlives_its_tenure",
    "DeletesPastItsLease": "a_lessee_receives_after_its_lease",
}


@pytest.mark.parametrize("mutant", [name for name in MUTANTS if COUNTED or name not in RARE])
def test_random_histories_kill(mutant: str, capsys: pytest.CaptureFixture[str]) -> None:
    broken: dict[int, DivergenceError] = {}
    run = 0
    for run in range(1, MOST + 1):
        # Not what the product itself does not survive.
        if (found := divergence(run, MUTANTS[mutant])) and not divergence(run):
            broken[run] = found
            if not COUNTED:
                break
    example = next(((seed, str(found)) for seed, found in broken.items()), None)
    with capsys.disabled():
        print(f"\n{mutant}: {len(broken)} of {run} histories diverged, the first {example}")  # noqa: T201
    assert broken or mutant in RARE


@pytest.mark.parametrize(("mutant", "history"), RARE.items())
def test_a_small_history_kills(mutant: str, history: str) -> None:
    with pytest.raises(DivergenceError):
        SMALL[history](MUTANTS[mutant])
