"""The cost model against cases worked by hand: their arithmetic stands in the numbers, not in the code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import __main__ as command
from bench import documents
from bench.configuration import Configuration, configuration
from bench.cost import model
from bench.cost.crossing import crossing, crossings
from bench.cost.model import Bill, Demand, bill
from bench.cost.prices import prices
from bench.cost.run import per_second
from bench.errors import ExperimentError
from consumer.deliveries import delivery_line, polled_line, watermark_lines
from consumer.message import Change, Delivery

PRICES = prices("us-east-1")
# A change each 5 s, 720 an hour: 525,600 a month.
ARTICLE = Demand(changes=0.2, items=13, item_bytes=300)
STACK = Configuration(
    deploys="fleet",
    write_api="table",
    variants=("lambda",),
    lambda_memory=128,
    snap_start=True,
    tasks_min=20,
    tasks_max=0,
    deployment_maximum_percent=200,
    long_poll_seconds=20,
    lease_seconds=45,
    watermark_seconds=10,
    rescan_seconds=900,
    network="endpoints",
)


def usd(of: Bill, what: str) -> float:
    (line,) = (line for line in of.lines if line.what == what)
    return round(line.usd, 2)


def counted(of: Bill, what: str) -> float:
    (line,) = (line for line in of.lines if line.what == what)
    return line.count


@pytest.mark.parametrize(
    ("what", "amount"),
    [
        ("Fargate CPU", 118.19),  # 20 × 0.25 vCPU × 730 h = 3,650 at 0.03238
        ("Fargate memory", 25.99),  # 20 × 0.5 GB × 730 h = 7,300 at 0.00356
        ("interface endpoints", 58.40),  # 4 services × 2 zones × 730 h = 5,840 at 0.01
        ("writes", 0.33),  # 525,600 at 0.625/M
        # 2,628,000 s / (10 s × (1 + 0.2/21)) = 260,321 rounds × (1 + 19 × 0.2/2) = 754,930 at 0.625/M
        ("watermarks written, lost ones too", 0.47),
        ("lambda: invocations", 0.16),  # 525,600 + 260,321 = 785,921 at 0.20/M
        ("lambda: time", 0.05),  # 785,921 × 0.038 s × 0.125 GB = 3,733 GB-s at 0.0000133334
        ("lambda: the version's snapshot", 0.49),  # 2,628,000 s × 0.125 GB = 328,500 at 0.0000015046
        ("lambda: publishes", 0.39),  # 785,921 at 0.50/M
        ("receives", 6.29),  # 20 × 785,921 = 15,718,420 at 0.40/M
        ("deletes", 6.29),
        ("rescans", 0.01),  # 20 × 2,920 × 2 units (3,900 + 1,600 bytes of watermarks) = 116,800 at 0.125/M
        ("renewals of leases", 2.19),  # 20 × 2,628,000 / 15 = 3,504,000 at 0.625/M
        # 40 slots; the forwarder's age, slowness, lag; repairs; the redriver's 4, the reaper's 5: 53 at 0.10
        ("alarms", 5.30),
        ("the alarm topic's key", 1.00),
        (
            "custom metrics",
            3.00,
        ),  # 5 times, a lag, fallback, tasks, those at the digest, those unready: 10 at 0.30
        ("the dashboard", 3.00),
        ("redriver: empty polls", 0.26),  # 5 × 2,628,000 s / 20 s = 657,000 at 0.40/M
        ("reaper: invocations", 0.01),  # 43,800 at 0.20/M
        ("reaper: time", 0.04),  # 43,800 × 0.3 s × 0.25 GB = 3,285 GB-s at 0.0000133334
        ("reaper: queues' depths", 0.70),  # 43,800 × 40 = 1,752,000 at 0.40/M
        ("reaper: leases", 0.03),  # 43,800 × 6 units (40 × 600 bytes) at 0.125/M
        ("deliveries' lines", 5.20),  # 20 × 525,600 × 990 bytes = 10.407 GB at 0.50
        ("lags' lines", 0.96),  # 3,504,000 × 550 bytes = 1.927 GB at 0.50
    ],
)
def test_each_line_of_the_article_s_month(what: str, amount: float) -> None:
    assert usd(bill(STACK, ARTICLE, PRICES), what) == amount


def test_a_month_is_the_sum_of_its_lines() -> None:
    # The lines above are 238.75; the lambda's restores 0.0064 (365 × 0.125 GB) and lines 0.216 (785,921 × 550
    # bytes), the data (15,718,420 × 2,100 bytes + 12.3 GB of logs = 45.3 GB at 0.01), storage of 5 KB: 0.453.
    assert bill(STACK, ARTICLE, PRICES).usd == pytest.approx(238.75 + 0.0064 + 0.216 + 0.453, abs=0.06)


def test_polling_pays_for_reads_and_leases_alone() -> None:
    polled = bill(STACK.having(variants=("poll",)), ARTICLE, PRICES)
    # 52,560,000 polls of one unit at 0.125/M; the line of each change at each task, 750 bytes; one metric.
    assert usd(polled, "polls") == 6.57
    assert usd(polled, "deliveries' lines") == 3.94
    assert usd(polled, "custom metrics") == 0.30
    assert usd(polled, "renewals of leases") == 2.19
    assert usd(polled, "alarms") == 0.10  # on slow polls
    told = {line.what for line in polled.lines}
    assert not told & {"receives", "deletes", "watermarks written, lost ones too", "rescans"}


@pytest.mark.parametrize(
    ("items", "units", "interval"),
    [
        (13, 1, 1.0),  # 3,900 bytes
        (14, 2, 1.0),  # 4,200 bytes
        (1_000, 74, 1.0),  # 300,000 bytes; read in 0.028 s on a quarter core, × 5 is below a second
        (10_000, 733, 1.4),  # 0.28 s × 5
    ],
)
def test_a_poll_reads_the_whole_table_and_a_large_one_less_often(
    items: int, units: int, interval: float
) -> None:
    polled = bill(STACK.having(variants=("poll",)), replace(ARTICLE, items=items), PRICES)
    assert counted(polled, "polls") == pytest.approx(20 * 2_628_000 / interval * units)


def test_a_pipe_pays_by_request_and_a_bus_by_event_too() -> None:
    pipe, bus = (bill(STACK.having(variants=(name,)), ARTICLE, PRICES) for name in ("pipe", "bus"))
    assert (usd(pipe, "pipe: requests"), usd(pipe, "pipe: publishes")) == (0.31, 0.39)
    assert (usd(bus, "bus: requests"), usd(bus, "bus: events"), usd(bus, "bus: publishes")) == (
        0.31,
        0.79,
        0.39,
    )


def test_both_forwarders_double_what_tasks_receive_and_not_what_is_written() -> None:
    one, both = (bill(STACK.having(variants=v), ARTICLE, PRICES) for v in (("lambda",), ("lambda", "pipe")))
    for what in ("receives", "deletes", "deliveries' lines", "lags' lines"):
        assert counted(both, what) == pytest.approx(2 * counted(one, what))
    for what in ("writes", "watermarks written, lost ones too", "rescans", "renewals of leases"):
        assert counted(both, what) == counted(one, what)
    assert counted(both, "alarms") == counted(one, "alarms") + 3
    bus = bill(STACK.having(variants=("bus",)), ARTICLE, PRICES)
    assert counted(bus, "alarms") == counted(one, "alarms") + 2  # its rule's failures and dead letters


def test_through_appsync_a_change_costs_four_dollars_a_million_more() -> None:
    one, other = bill(STACK, ARTICLE, PRICES), bill(STACK, replace(ARTICLE, entry="appsync"), PRICES)
    assert other.usd - one.usd == pytest.approx(525_600 * 4 / 1e6)
    through = bill(STACK.having(write_api="function"), replace(ARTICLE, entry="appsync"), PRICES)
    # 525,600 invocations at 0.20/M and 525,600 × 0.038 s × 0.125 GB = 2,497 GB-s.
    assert through.usd - other.usd == pytest.approx(0.10512 + 0.03329, abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "watermark_seconds", "empty"),
    [
        (0, 10, 0),  # one comes each 10.1 s: no poll of 20 s ends empty
        (0, 60, 3 * 2_628_000 / 60.5714),  # three end within 60.57 s, and the fourth brings it
        (1 / 45, 3_600, 2 * 2_628_000 / 45),
    ],
)
def test_a_long_poll_ends_empty_only_when_nothing_comes(
    changes: float, watermark_seconds: int, empty: float
) -> None:
    of = bill(STACK.having(watermark_seconds=watermark_seconds), replace(ARTICLE, changes=changes), PRICES)
    counts = [line.count for line in of.lines if line.what == "long polls that end empty"]
    assert sum(counts) == pytest.approx(20 * empty, rel=1e-3)


def test_an_idle_stack_that_nobody_watches_makes_131400_empty_polls_a_task() -> None:
    of = bill(STACK, replace(ARTICLE, changes=0), PRICES, watched=False)
    assert counted(of, "long polls that end empty") == 20 * 131_400


def test_many_changes_share_their_calls_and_large_ones_take_more() -> None:
    # 1,000 a second: 100 to an invocation, 10 to a publish and to a receive, 10 × 2,100 bytes within 64 KB.
    many = bill(STACK, replace(ARTICLE, changes=1000), PRICES)
    assert counted(many, "lambda: invocations") == pytest.approx(2_628_000 * 10, rel=1e-3)
    assert counted(many, "lambda: publishes") == pytest.approx(2_628_000 * 100, rel=1e-3)
    assert counted(many, "receives") == pytest.approx(20 * 2_628_000 * 100, rel=1e-3)
    # Two images of 40,000 bytes and 1,500 are 81,500: two chunks each time; 40 units to write.
    large = bill(STACK, replace(ARTICLE, item_bytes=40_000), PRICES)
    assert counted(large, "lambda: publishes") == pytest.approx(2 * 785_921, rel=1e-4)
    assert counted(large, "receives") == pytest.approx(2 * 20 * 785_921, rel=1e-4)
    assert counted(large, "writes") == pytest.approx(525_600 * 40)


@pytest.mark.parametrize(
    ("settings", "what", "count"),
    [
        ({"lease_seconds": 15}, "renewals of leases", 20 * 525_600),
        ({"rescan_seconds": 1800}, "rescans", 20 * 1460 * 2),
        ({"tasks_max": 30}, "alarms", 73),
        ({"deployment_maximum_percent": 150}, "alarms", 43),
        ({"lambda_memory": 256}, "lambda: the version's snapshot", 2_628_000 * 0.25),
        ({"network": "nat"}, "its public address", 730),
    ],
)
def test_costs_follow_settings(settings: dict, what: str, count: float) -> None:
    assert counted(bill(STACK.having(**settings), ARTICLE, PRICES), what) == pytest.approx(count)


def test_what_is_set_off_costs_nothing() -> None:
    told = {
        line.what for line in bill(STACK.having(snap_start=False, network="existing"), ARTICLE, PRICES).lines
    }
    assert not told & {
        "lambda: the version's snapshot",
        "lambda: restores",
        "interface endpoints",
        "NAT gateway",
    }


def test_a_region_s_own_price_is_used_where_it_is_known_and_each_says_of_which_it_is() -> None:
    milan = prices("eu-south-1")
    assert (milan.lambda_time.usd, milan.lambda_time.region) == (0.0000156138, "eu-south-1")
    assert (milan.queue.usd, milan.queue.region) == (0.4, "us-east-1")
    assert str(milan.queue) == "$0.40/M request of 64 KB"


def test_lines_of_the_log_are_as_long_as_what_the_consumer_prints() -> None:
    who = {
        "table": "statecast-state-1a2b3c4",
        "task": f"arn:aws:ecs:eu-south-1:123456789012:task/statecast-tasks-1a2b3c4/{'0' * 32}",
        "slot": "00",
    }
    now = 1_764_000_000_000
    change = Change("price:eu:12345", now, json.dumps({"writtenAt": {"N": str(now)}}))
    delivery = Delivery("0" * 36, change, False, "lambda", 1, now, now, None, now, now, now)
    lines = [
        delivery_line(who, delivery, "applied", now, now),
        polled_line(who, change, now, now),
        *watermark_lines(who, {"lambda": 10_234}, fallback=False),
    ]
    told = (model.DELIVERY_LINE, model.POLLED_LINE, model.LAG_LINE)
    assert [len(line) + 26 for line in lines] == pytest.approx(told, rel=0.02)


def test_a_crossing_is_the_first_value_at_which_the_other_is_cheaper() -> None:
    found = crossing("items", 1, 1_000_000, lambda items: items < 1_234)
    assert (found.push_first, found.at) == (False, (1_234,))
    assert str(found) == "by items: polling is the cheaper from 1 on, push from 1,234"
    assert crossing("tasks", 0, 100, lambda _: True).at == ()


def test_crossings_are_where_the_two_bills_are_equal() -> None:
    demand = replace(ARTICLE, items=100)
    for one in crossings(STACK, demand, PRICES):
        for at in one.at:
            cheaper = []
            for value in (at - 1, at):
                of = STACK.having(tasks_min=value, tasks_max=value) if one.axis == "tasks" else STACK
                asked = replace(demand, items=value) if one.axis == "items" else demand
                asked = replace(asked, changes=value / 3600) if one.axis == "changes an hour" else asked
                push, poll = (
                    bill(of, asked, PRICES).usd,
                    bill(of.having(variants=("poll",)), asked, PRICES).usd,
                )
                cheaper.append(push < poll)
            assert cheaper[0] != cheaper[1]
    by_items = next(one for one in crossings(STACK, demand, PRICES) if one.axis == "items")
    # Push costs 40.7 a month more, but for polls; a unit a poll is 6.57: seven of them, from 82 items.
    assert by_items.at == pytest.approx((82,), abs=1)


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_the_documents_figures_are_the_model_s(name: str) -> None:
    text = (documents.PROJECT / name).read_text()
    assert documents.MARKED.search(text)
    assert text == documents.written(text), "run `make costs`"


@pytest.mark.parametrize(
    ("rate", "a_second"), [("720/h", 0.2), ("1/s", 1), ("0.5/min", 1 / 120), ("2628000/month", 1)]
)
def test_a_rate(rate: str, a_second: float) -> None:
    assert per_second(rate) == pytest.approx(a_second)


@pytest.mark.parametrize("rate", ["720/x", "720", "/h", "-1/h", "many/h", "", "1e3/h"])
def test_what_is_no_rate_is_one_clear_line(rate: str) -> None:
    with pytest.raises(ExperimentError) as told:
        per_second(rate)
    assert str(told.value) == (
        f"--changes is {rate!r}: give a number by one of s, min, h, d, month, such as 720/h"
    )


def test_a_stack_is_its_file_on_top_of_the_defaults(tmp_path: Path) -> None:
    assert configuration("dev").tasks_min == 2
    assert configuration("pipe").variants == ("pipe",)
    assert configuration("local").lease_seconds == 6
    (tmp_path / "Pulumi.yaml").write_text((documents.PROJECT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.own.yaml").write_text("config: {statecast:tasksMin: many, 'aws:region': eu-west-1}")
    with pytest.raises(ExperimentError, match=r"^stack 'handoff' deploys handoff, not a fleet"):
        configuration("handoff")
    with pytest.raises(ExperimentError, match=r"^there is no Pulumi.dev.yaml: give --stack one of own$"):
        configuration("dev", tmp_path)
    with pytest.raises(ExperimentError, match=r"^Pulumi.own.yaml: tasksMin is 'many': "):
        configuration("own", tmp_path)


def test_the_command_prints_every_line_and_keeps_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    result = CliRunner().invoke(
        command.app, ["cost", "--stack", "lambda", "--items", "13", "--changes", "720/h"]
    )
    assert result.exit_code == 0, result.output
    for line in bill(configuration("lambda"), ARTICLE, prices("eu-south-1")).lines:
        assert line.what in result.output
        assert f"{line.price.source}, {line.price.date}, {line.price.region}" in result.output
    assert "lambda against poll, by items: polling is the cheaper from 1 on, push from" in result.output
    kept = json.loads((tmp_path / "results" / "latest" / "summary.json").read_text())
    assert set(kept["bills"]) == {"lambda", "pipe", "lambda + pipe", "bus", "poll"}
    for one in kept["bills"].values():
        assert one["usd"] == pytest.approx(sum(line["usd"] for line in one["lines"]))
