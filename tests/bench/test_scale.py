"""The simulation against what queues are known to do, and needs against figures worked by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import __main__ as command
from bench.configuration import configuration
from bench.cost.model import NO_LEVERS, Demand, Levers
from bench.scale import run as experiment
from bench.scale.aws import AWS
from bench.scale.limits import needs, quotas
from bench.scale.path import Load, Rates, Step, Time, simulate
from bench.scale.run import row
from bench.scale.validation import comparison
from settings import MOST_SLOTS
from tests.bench.pretend import PretendStack
from tests.bench.synthetic import delivery, result, write

# Each step waits for so long, and nothing computes.
PLAIN = Rates(
    write=Step(wait=Time(0.001)),
    look_s=0.0001,
    stream_s=0.1,
    publish=Step(wait=Time(0.02, 0.003)),
    deliver=Step(wait=Time(0.05)),
    receive=Step(wait=Time(0.004, 0.002)),
    delete=Step(),
    change=0,
)


def test_alone_a_change_takes_the_sum_of_its_steps() -> None:
    outcome = simulate(PLAIN, Load(tasks=3, changes=2, seconds=10))
    assert (outcome.expected, len(outcome.lags)) == (60, 60)
    # 1 + 100 + 20 + 3 + 50 + 4 + 2 ms, and at most a look at the stream.
    for _, lag in outcome.lags:
        assert lag == pytest.approx(0.180, abs=0.0002)
    assert outcome.growth == pytest.approx(0, abs=1e-3)
    assert outcome.messages == outcome.receives == 60


def test_a_look_at_the_stream_waits_half_its_period_on_average() -> None:
    outcome = simulate(replace(PLAIN, look_s=0.25), Load(tasks=1, changes=3, seconds=400))
    mean = sum(lag for _, lag in outcome.lags) / len(outcome.lags)
    # Periods of 0.125 to 0.375 s: the mean rest of one is E[p²] / 2 E[p] = (0.25² + 0.25²/12) / 0.5.
    assert mean - 0.180 == pytest.approx(0.1354, abs=0.01)


@pytest.mark.parametrize(("changes", "growth"), [(80, 0.0), (200, 1.0), (300, 2.0)])
def test_a_task_that_handles_100_a_second_falls_behind_above_it(changes: int, growth: float) -> None:
    # 10 ms of computing a message on a whole core; each second above brings changes / 100 − 1 seconds.
    rates = replace(PLAIN, publish=Step(wait=Time(0.001)), receive=Step(caller=Time(0, 0.01)))
    outcome = simulate(rates, Load(tasks=2, changes=changes, seconds=20), patience_s=600)
    assert outcome.growth == pytest.approx(growth, abs=0.05)
    assert len(outcome.lags) == 2 * 20 * changes


def test_a_quarter_of_a_core_computes_four_times_as_long() -> None:
    rates = replace(PLAIN, receive=Step(caller=Time(0.01)), processor=0.25)
    outcome = simulate(rates, Load(tasks=1, changes=1, seconds=5))
    assert outcome.percentile(50) == pytest.approx(0.214, abs=0.001)


def test_publishes_wait_for_their_quota() -> None:
    rates = replace(PLAIN, publish=Step(), publishes=300)
    assert simulate(rates, Load(tasks=1, changes=600, seconds=10)).growth == pytest.approx(1, abs=0.05)
    assert simulate(rates, Load(tasks=1, changes=200, seconds=10)).growth == pytest.approx(0, abs=0.01)
    packed = simulate(replace(rates, look_s=0.1), Load(tasks=1, changes=600, seconds=10, pack=10))
    assert packed.growth == pytest.approx(0, abs=0.01)


def test_each_shard_is_forwarded_by_itself() -> None:
    # 20 ms and 3 ms a message, ten together: 200 a second and shard.
    one, four = (simulate(PLAIN, Load(tasks=1, changes=400, seconds=10, shards=n)).growth for n in (1, 4))
    assert one == pytest.approx(1, abs=0.1)
    assert four == pytest.approx(0, abs=0.01)


def test_under_load_more_are_received_together() -> None:
    rates = replace(PLAIN, publish=Step(), receive=Step(wait=Time(0.1)))
    few, many = (simulate(rates, Load(tasks=1, changes=n, seconds=20)) for n in (5, 50))
    assert few.messages == few.receives
    assert many.messages / many.receives == pytest.approx(5, rel=0.1)  # 50 a second, 10 receives


def test_a_task_of_one_shard_of_ten_takes_a_tenth() -> None:
    outcome = simulate(PLAIN, Load(tasks=40, changes=100, seconds=20, topics=10, pack=5), patience_s=5)
    assert outcome.expected == pytest.approx(40 * 2000 * 0.1, rel=0.1)
    assert len(outcome.lags) == outcome.expected


def test_a_shared_server_makes_callers_wait_as_queueing_theory_says() -> None:
    # M/D/1: at half of its capacity in pieces of 5 ms a newcomer waits ρ s / 2 (1 − ρ) = 2.5 ms on average.
    rates = replace(PLAIN, write=Step(server=Time(0.001)), cores=4, idle_server=0.5)
    outcome = simulate(rates, Load(tasks=1, changes=5, seconds=400))
    mean = sum(lag for _, lag in outcome.lags) / len(outcome.lags)
    assert mean - 0.180 == pytest.approx(0.0025, abs=0.0005)


def test_tasks_that_share_cores_saturate_them_together() -> None:
    # 20 tasks × 10 changes × 5 ms are a core; two cores carry it, one does not.
    rates = replace(PLAIN, receive=Step(caller=Time(0, 0.005)))
    one, two = (
        simulate(replace(rates, cores=n), Load(tasks=20, changes=15, seconds=20)).growth for n in (1, 2)
    )
    assert one == pytest.approx(0.5, abs=0.1)
    assert two == pytest.approx(0, abs=0.01)


def test_a_receive_looks_at_each_tick() -> None:
    outcome = simulate(replace(PLAIN, tick_s=0.1), Load(tasks=20, changes=3.3, seconds=30))
    mean = sum(lag for _, lag in outcome.lags) / len(outcome.lags)
    assert mean - 0.180 == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("topics", "changes"),
    # A look each second finds 40; of those one of 10 topics has 40 ÷ 10 (1 − 0.9⁴⁰), one of 40 has 1.58.
    [(1, 40), (10, 4.06), (40, 1.58)],
)
def test_a_message_holds_what_a_look_found_of_a_topic(topics: int, changes: float) -> None:
    rates = replace(PLAIN, publish=Step(), look_s=1)
    outcome = simulate(rates, Load(tasks=topics, changes=40, seconds=200, topics=topics, pack=100))
    assert outcome.packed == pytest.approx(changes, rel=0.1)


def test_a_lever_s_row_is_billed_and_bounded_by_what_its_simulation_packed() -> None:
    of = row("and 10 shards of keys", configuration("lambda"), 100, 1000, 100)
    (publishes,) = (need.needed for need in of.needs if need.quota == quotas()["publishes"])
    load = Load(tasks=100, changes=1000, seconds=30, sampled=4, shards=4, pack=100, topics=10)
    assert publishes == pytest.approx(1000.1 / simulate(AWS, load).packed)


@pytest.mark.parametrize(
    ("levers", "name", "needed"),
    [
        (NO_LEVERS, "slots", 20_000),
        (NO_LEVERS, "publishes", 1_000.1),  # and a watermark each 10 s
        (NO_LEVERS, "subscribes", 5.56),  # 20,000 in an hour
        (NO_LEVERS, "alarms", 5.56),
        (NO_LEVERS, "graph", 20_000),
        (NO_LEVERS, "tasks", 10_000),
        (NO_LEVERS, "addresses", 20_000),
        (NO_LEVERS, "table_reads", 12_217),  # 10,000 tasks × 733 units in 600 s
        (NO_LEVERS, "lease_reads", 166_667),  # 8.33 tasks a second × 20,000 leases
        (NO_LEVERS, "table_writes", 1_100.99),  # 1,000, and of a watermark's 9,999 rivals a tenth, each 10 s
        (NO_LEVERS, "watermark_writes", 5_000),  # 10,000 within 2 s
        (NO_LEVERS, "forwarding", 0.95),  # 4 shards, 25 publishes a second of 38 ms each
        (NO_LEVERS, "memory", 68.6),  # 60 MiB, and three times 3 MB
        (Levers(pack=True), "publishes", 10.0),  # of a hundred changes each
        (Levers(pack=True), "forwarding", 0.095),  # in as many calls
        (Levers(slots_per_alarm=100), "alarms", 0.0556),
        (Levers(slots_per_alarm=100), "graph", 200),
        (Levers(s3=True), "table_reads", 0),
        (Levers(shards=10), "table_reads", 1_222),
    ],
)
def test_what_ten_thousand_tasks_need(levers: Levers, name: str, needed: float) -> None:
    of = configuration("lambda").having(tasks_min=10_000, tasks_max=10_000)
    demand = Demand(changes=1000, items=10_000, item_bytes=300)
    told = {
        need.quota.what: need.needed for need in needs(of, demand, levers, AWS, 100 if levers.pack else 1)
    }
    assert told[quotas()[name].what] == pytest.approx(needed, rel=2e-3)


def test_a_task_needs_the_cpu_of_what_it_handles() -> None:
    calls = {"receive": Step(caller=Time(0.0015, 0.0005)), "delete": Step(caller=Time(0.0005))}
    rates = replace(AWS, **calls, change=0.0004)
    of, demand = configuration("lambda"), Demand(changes=1000, items=0, item_bytes=300)

    def cpu(levers: Levers, packed: float) -> float:
        needed = {need.quota.what: need.needed for need in needs(of, demand, levers, rates, packed)}
        return needed[quotas()["cpu"].what]

    # Ten to a receive: 100 × 2 ms + 1,000 × 0.5 ms. Of a hundred changes each: 10 × (2 + 0.5 + 99 × 0.4).
    assert cpu(NO_LEVERS, 1) == pytest.approx(0.7, rel=1e-3)
    assert cpu(Levers(pack=True), 100) == pytest.approx(0.421, rel=1e-3)


def test_needs_are_told_the_furthest_past_its_limit_first() -> None:
    told = needs(configuration("dev"), Demand(changes=1, items=100, item_bytes=300), NO_LEVERS, AWS)
    assert [need.ratio for need in told] == sorted((need.ratio for need in told), reverse=True)
    assert len(told) == len(quotas())


def test_quotas_that_the_program_sets_are_the_program_s() -> None:
    assert quotas()["slots"].most == MOST_SLOTS


def test_the_table_of_aws_at_its_edges() -> None:
    of = configuration("lambda")
    small, large = row("as it is", of, 20, 1, 100), row("as it is", of, 20, 1000, 100)
    assert small.keeps_up
    assert 0.2 < small.p50 < 0.5
    assert not large.keeps_up
    assert {need.quota.what for need in large.needs if need.ratio > 1} >= {quotas()["publishes"].what}


def test_a_run_is_set_beside_the_simulation() -> None:
    writes = [write(number) for number in range(100)]
    seen = result(writes, [delivery(of, after=101 + number) for number, of in enumerate(writes)])
    one = comparison(1, 2, seen.variants["lambda"], simulate(PLAIN, Load(tasks=1, changes=2, seconds=10)))
    assert (one.p50, one.p99, one.together, one.lost) == (150, 199, 1, 0)
    assert one.simulated_p50 == pytest.approx(180, abs=0.2)


def test_a_stack_with_another_forwarder_than_the_simulation_s_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = PretendStack(name="local", endpoint="http://127.0.0.1:4566")
    monkeypatch.setattr(experiment, "find", lambda name: stack)
    monkeypatch.setattr(experiment, "measured", lambda stack: pytest.fail("it was measured"))
    answer = CliRunner().invoke(command.app, ["scale", "--stack", "local"])
    assert isinstance(answer.exception, command.ExperimentError)
    assert str(answer.exception) == (
        "stack 'local' has variants lambda, pipe: the simulation is of lambda alone, so bring the stack up "
        "with --config 'variants=[lambda]'"
    )


def test_the_command_prints_each_fleet_and_keeps_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(experiment, "TASKS", (20,))
    monkeypatch.setattr(experiment, "CHANGES", (1,))
    result = CliRunner().invoke(command.app, ["scale", "--items", "100"])
    assert result.exit_code == 0, result.output
    assert "slots that one inline policy can name" in result.output
    assert "0.3 × slots" in result.output
    kept: Any = json.loads((tmp_path / "results" / "latest" / "summary.json").read_text())
    assert [of["levers"] for of in kept["rows"]] == ["as it is", *experiment.LEVERS]
    assert {need["what"] for need in kept["rows"][0]["needs"]} == {quota.what for quota in quotas().values()}
