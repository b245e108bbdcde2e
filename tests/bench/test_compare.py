import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench import __main__ as command
from bench.compare import Difference, cliffs_delta, differences, notes, refuse_unlike
from bench.deliveries import Delivery
from bench.errors import ExperimentError
from bench.result import Kept, conclude, load, save
from tests.bench.synthetic import delivery, polled, result, write

samples = st.lists(st.integers(0, 20), min_size=1, max_size=12)


def kept(folder: Path, name: str, deliveries: list[Delivery], **environment: Any) -> Path:
    """A result of 60 writes, as a run leaves it."""
    of = result([write(number) for number in range(60)], deliveries, tasks=2)
    of.observation.environment.update({"started": name, "region": "eu-south-1"} | environment)
    return save(of, {}, folder)


def jittered(by: str = "lambda", *, seed: int, later: int = 0) -> list[Delivery]:
    """Deliveries of 60 writes to two tasks, with some noise, each so many milliseconds later."""
    random = np.random.default_rng(seed)
    return [
        delivery(write(number), f"task/{task}", by, int(wait) + later)
        for number, wait in enumerate(random.integers(100, 200, size=60))
        for task in range(2)
    ]


def of(told: list[Difference], hop: str, statistic: str = "p50") -> Difference:
    (found,) = (each for each in told if (each.hop, each.statistic) == (hop, statistic))
    return found


def test_a_run_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    deliveries = [*jittered(seed=1), replace(jittered(seed=2)[0], outcome="duplicate", receives=2)]
    before = result([write(number) for number in range(60)], deliveries, tasks=2)
    after = load(save(before, {}, tmp_path))
    assert [each.delivery for each in after.arrivals] == [each.delivery for each in before.arrivals]
    assert [each.write for each in after.arrivals] == [each.write for each in before.arrivals]
    assert after.summary == json.loads(json.dumps(before.summary()))


def test_runs_of_the_same_differ_by_noise(tmp_path: Path) -> None:
    a, b = (load(kept(tmp_path, str(seed), jittered(seed=seed))) for seed in (1, 2))
    assert {each.verdict for each in differences(a, b)} == {"noise"}


def test_even_a_run_beside_itself_is_drawn_anew_for_either_side(tmp_path: Path) -> None:
    a = load(kept(tmp_path, "a", jittered(seed=1)))
    low, high = of(list(differences(a, a)), "write_to_applied").interval or (0, 0)
    assert low < 0 < high


def test_a_slower_run_is_told_by_how_much_and_where(tmp_path: Path) -> None:
    a = load(kept(tmp_path, "a", jittered(seed=1)))
    b = load(kept(tmp_path, "b", jittered(seed=2, later=60)))
    told = list(differences(a, b))
    got = of(told, "write_to_applied")
    assert got.interval[0] < 60 < got.interval[1]
    assert got.verdict == "slower, large"
    assert of(told, "write_to_applied", "p99").verdict == "slower"
    assert {of(told, hop).verdict for hop in ("sns", "sqs", "apply")} == {"noise"}
    assert of(list(differences(b, a)), "write_to_applied").verdict == "faster, large"


def test_an_sns_clock_that_a_run_found_coarse_gives_no_hop(tmp_path: Path) -> None:
    writes = [write(number) for number in range(12)]
    came = [delivery(one) for one in writes]
    came = [replace(one, sns_at=(one.sns_at or 0) // 1000 * 1000) for one in came]
    # The five that were measured are too few to tell; the run's own figures are by its warm-up too.
    folder = save(result(writes[7:], came, warm_up=writes[:7]), {}, tmp_path)
    assert {each.hop for each in differences(load(folder), load(folder))} == {
        *("write_to_applied", "write_to_queue", "sqs", "apply")
    }


def test_of_a_single_write_nothing_is_told(tmp_path: Path) -> None:
    a = load(kept(tmp_path, "a", jittered(seed=1)))
    b = load(kept(tmp_path, "b", jittered(seed=2, later=60)[:2]))
    for told in (differences(a, b), differences(b, a), differences(b, b)):
        assert {(each.interval, each.delta, each.verdict) for each in told} == {
            (None, None, "too few writes")
        }
    assert (
        "too few writes"
        in CliRunner().invoke(command.app, ["compare", *map(str, tmp_path.glob("[ab]"))]).output
    )


@given(samples, samples)
def test_cliff_s_delta_is_that_of_all_pairs(a: list[int], b: list[int]) -> None:
    pairs = list(product(a, b))
    expected = sum((two > one) - (two < one) for one, two in pairs) / len(pairs)
    assert cliffs_delta(np.array(a), np.array(b)) == pytest.approx(expected)


def test_each_write_that_a_poll_told_of_counts(tmp_path: Path) -> None:
    seen = result([write(0), write(1)], [polled(write(1))]).observation
    folder = save(conclude(replace(seen, variants=["poll"])), {}, tmp_path)
    got = of(list(differences(load(folder), load(folder))), "write_to_applied", "p99")
    assert got.a == 1100  # the first write, which the poll a second later saw replaced


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("tasks", 20, "tasks 2 and 20"),
        ("interval_s", 5.0, "interval 1.0 s and 5.0 s"),
        ("entry", "appsync", "entry table and appsync"),
    ],
)
def test_what_is_not_alike_is_refused(tmp_path: Path, key: str, value: Any, told: str) -> None:
    a = load(kept(tmp_path, "a", jittered(seed=1)))
    with pytest.raises(ExperimentError, match=f"^a and b cannot be compared: {told}$"):
        refuse_unlike(a, Kept("b", a.summary | {key: value}, a.arrivals))


def test_an_emulator_is_not_compared_with_aws(tmp_path: Path) -> None:
    a = kept(tmp_path, "a", jittered(seed=1))
    b = kept(tmp_path, "b", jittered(seed=1), cloud="emulator (ministack 1.5.33)")
    answer = CliRunner().invoke(command.app, ["compare", str(a), str(b)])
    assert isinstance(answer.exception, ExperimentError)
    assert "cloud aws and emulator (ministack 1.5.33)" in str(answer.exception)


def test_what_is_no_result_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ExperimentError, match="holds no result of `bench run`: "):
        load(tmp_path)


def test_a_result_of_an_older_bench_is_one_clear_line(tmp_path: Path) -> None:
    folder = kept(tmp_path, "a", jittered(seed=1))
    told = json.loads((folder / "summary.json").read_text())
    del told["entry"]
    (folder / "summary.json").write_text(json.dumps(told))
    with pytest.raises(ExperimentError, match=r"/a is of an older bench: its summary\.json has no entry$"):
        load(folder)


def test_a_result_of_another_experiment_is_called_that(tmp_path: Path) -> None:
    folder = kept(tmp_path, "a", jittered(seed=1))
    (folder / "summary.json").write_text('{"faults": []}')  # as `bench faults` leaves it
    with pytest.raises(ExperimentError, match=r"/a is of another experiment: give results of `bench run`$"):
        load(folder)


def test_bursts_of_other_lengths_are_not_alike(tmp_path: Path) -> None:
    a = load(kept(tmp_path, "a", jittered(seed=1)))
    b = Kept("b", a.summary | {"burst": {"steps": [{"rate": 20}, {"rate": 40}]}}, a.arrivals)
    with pytest.raises(ExperimentError, match=r"interval 1\.0 s and a burst's to 40/s"):
        refuse_unlike(a, b)


def test_losses_load_and_other_commits_are_said(tmp_path: Path) -> None:
    a = load(kept(tmp_path, "a", jittered(seed=1), commit="aaa", load=0.3))
    b = load(kept(tmp_path, "b", jittered(seed=1)[1:], commit="bbb", load=7.5))
    told = list(notes(a, b))
    assert "They differ in commit aaa → bbb." in told
    assert "The machine's load in the minute before: A 0.3, B 7.5." in told
    assert "b lost 121 deliveries, and they are not in its figures." in told  # 120 of them by the pipe


def test_the_table_has_a_verdict_for_each_hop(tmp_path: Path) -> None:
    folders = [str(kept(tmp_path, str(seed), jittered(seed=seed))) for seed in (1, 2)]
    answer = CliRunner().invoke(command.app, ["compare", *folders])
    assert answer.exit_code == 0, answer.output
    assert answer.output.count(" noise  \n") == 12
    assert "write → applied p50" in answer.output
