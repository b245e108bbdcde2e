import re
from dataclasses import replace
from io import StringIO

from rich.console import Console

from bench.configuration import configuration, defaults
from bench.cost.model import ARTICLE, bill
from bench.cost.prices import prices
from bench.cost.variants import Costs, costs
from bench.report import page, show
from bench.report.charts import arrival, tasks, timeline
from bench.report.wording import answer, headline
from bench.result import Result, conclude
from tests.bench.pretend import PretendStack
from tests.bench.synthetic import delivery, result, write

EMULATOR = "emulator (ministack 1.5.33)"
CAVEAT = "its latency is not that of AWS"


def run(*, lost: bool = False, cloud: str = EMULATOR, sns_clock: bool = True) -> Result:
    writes = [write(number) for number in range(12)]
    deliveries = [
        delivery(one, name, by)
        for one in writes
        for name in ("task/0", "task/1")
        for by in ("lambda", "pipe")
    ]
    if lost:
        deliveries.pop()
    if not sns_clock:
        deliveries = [replace(one, sns_at=one.sns_at // 1000 * 1000) for one in deliveries]
    return result(writes, deliveries, tasks=2, cloud=cloud)


def printed(of: Result) -> str:
    console = Console(file=StringIO(), width=100)
    show(of, console)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def sections(report: str) -> dict[str, str]:
    found = re.findall(r"<section><h2>(.*?)</h2>(.*?)</section>", report, re.DOTALL)
    return dict(found)


def test_the_report_asks_for_nothing_from_a_network() -> None:
    markup = re.sub(r"<script\b.*?</script>", "", page(run()), flags=re.DOTALL)
    assert not re.search(r"(src|href|action)\s*=|@import|url\(", markup)
    assert not re.search(r"<script[^>]+src=", page(run()))


def test_an_emulator_s_latency_is_called_that_beside_every_figure() -> None:
    told = sections(page(run()))
    for title in ("Milliseconds", "Where the time goes", "How soon", "Over the run", "Task by task"):
        assert f"Measured on an {EMULATOR}: {CAVEAT}." in told[title], title
    assert CAVEAT in printed(run())


def test_a_task_s_colour_is_said_to_be_of_its_worst_delivery() -> None:
    assert "the colour is its worst delivery of the period" in sections(page(run()))["Task by task"]


def test_on_aws_nothing_is_said_of_an_emulator() -> None:
    on_aws = run(cloud="aws")
    assert CAVEAT not in page(on_aws)
    assert CAVEAT not in printed(on_aws)


def test_the_first_sentence_calls_an_emulator_s_lateness_that_and_the_price_aws_s() -> None:
    paid = costs(PretendStack(endpoint="http://emulator"), 2, "table")  # pyright: ignore[reportArgumentType]
    told = answer(replace(run(), costs=paid))
    assert told.startswith("On an emulator, least late at worst: lambda for $")
    assert told.count(" a month on AWS, ") == 2
    assert "AWS" not in answer(replace(run(cloud="aws"), costs=paid))


def test_the_timeline_draws_the_warm_up_and_marks_what_was_lost() -> None:
    of = run(lost=True)
    warm_up = [write(number) for number in (-3, -2, -1)]
    seen = of.observation
    came = [*seen.deliveries, *(delivery(one, "task/0", "lambda") for one in warm_up)]
    chart = timeline(conclude(replace(seen, warm_up=warm_up, deliveries=came)))
    marks = {(trace.name, trace.marker.symbol): len(trace.x) for trace in chart.data}
    assert marks["lambda", "circle-open"] == 3
    assert marks["pipe: lost", "x"] == 1
    (grey,) = (shape for shape in chart.layout.shapes if shape.type == "rect")
    assert (grey.x0, grey.x1) == (-3, 0)


def test_a_lost_delivery_is_a_cross_at_its_task_and_moment() -> None:
    crosses = [trace for trace in tasks(run(lost=True)).data if trace.type == "scatter"]
    assert [len(trace.x) for trace in crosses] == [1]
    assert crosses[0].y[0].endswith("1")


def test_writes_that_began_late_are_told_of() -> None:
    late = [replace(write(number), written_at=write(number).written_at + 150) for number in range(3)]
    assert (
        "Writes began late, p99 150 ms after their time: that wait is in no figure." in result(late, []).notes
    )
    assert not [note for note in run().notes if "late" in note]


def test_how_soon_ends_at_what_came_of_what_was_expected() -> None:
    curve = {trace.name: trace.y[-1] for trace in arrival(run(lost=True)).data}
    assert curve == {"lambda": 100, "pipe": 100 * 23 / 24}


def test_what_is_lost_is_named_in_both_reports() -> None:
    told = run(lost=True)
    assert headline(told).startswith("12 writes, 2 tasks: 1 of 48 deliveries lost, ")
    assert "<td>11 update</td><td>a</td><td>1</td><td>pipe</td>" in sections(page(told))["Deliveries"]
    assert "lost write 11 (update a version 12) at task task/1 by pipe" in printed(told)


def test_writes_that_failed_are_told_with_the_answer_and_the_run() -> None:
    failed = [replace(write(number), version=None, error="throttled") for number in range(1, 40)]
    by_both = [delivery(write(0), "task/0", by) for by in ("lambda", "pipe")]
    told = result([write(0), *failed], by_both)
    assert headline(told).startswith("40 writes, 1 tasks: 39 of 40 writes failed, all 2 deliveries arrived, ")
    assert answer(told).endswith(" 39 of 40 writes failed.")
    assert answer(result(failed, [])) == (
        "No variant brought every write to every task. 39 of 39 writes failed."
    )
    assert '<body class="failed">' in page(told)
    assert "failed" not in headline(run()) + answer(run())


def test_at_most_twenty_losses_are_printed() -> None:
    nothing = result([write(number) for number in range(12)], [], tasks=1)
    assert printed(nothing).count("lost write") == 20
    assert "… and 4 more, all in summary.json" in printed(nothing)


def test_a_report_of_nothing_but_losses_is_still_drawn() -> None:
    assert '<body class="failed">' in page(result([write(0)], []))


def test_without_an_sns_clock_its_hops_are_dashes_and_the_bar_goes_to_the_queue() -> None:
    told = sections(page(run(sns_clock=False)))
    assert "<td>lambda: sns</td><td>–</td><td>–</td><td>–</td><td>–</td>" in told["Milliseconds"]
    assert "write to queue" in told["Where the time goes"]
    assert "write to queue" not in sections(page(run()))["Where the time goes"]


def test_every_figure_says_how_sure_it_is() -> None:
    told = run()
    assert told.summary()["variants"]["pipe"]["intervals"]["sns"] == {
        "mean": (20, 20),
        "p50": (20, 20),
        "p99": (20, 20),
    }
    assert "<td>pipe: sns</td><td>20.0 … 20.0</td>" in sections(page(told))["How sure"]
    assert re.search(r"lambda: write → applied +100 … 100 +100 … 100 +100 … 100", printed(told))


def test_a_hop_that_no_clock_tells_has_no_interval() -> None:
    assert run(sns_clock=False).intervals["lambda"]["sns"] == {}
    assert "lambda: sns" not in sections(page(run(sns_clock=False)))["How sure"]


def test_negative_hops_are_counted_and_said() -> None:
    one = write(0)
    told = result([one], [delivery(one, after=20)])
    note = (
        "lambda: forward came out negative 1 times: the clocks at its ends disagree. It is counted as it is."
    )
    assert note in told.notes
    assert note in page(told)


def test_the_published_figures_stand_beside_ours() -> None:
    for report in (page(run()), printed(run())):
        assert "108.39" in report
        assert "210.74" in report


def test_what_others_wrote_cannot_break_the_page() -> None:
    one = replace(write(0), version=None, error="<script>alert(1)</script>")
    assert "<script>alert" not in page(result([one], []))


def raced(lambda_ms: int, pipe_ms: int, paid: Costs | None = None) -> Result:
    one = write(0)
    deliveries = [delivery(one, after=lambda_ms), delivery(one, "task/0", "pipe", pipe_ms)]
    return result([one], deliveries, costs=paid)


def test_the_page_begins_with_the_variant_that_is_the_least_late_and_how_late_it_was() -> None:
    told = "Least late at worst: pipe, 90 ms from a write to its last task; lambda, 100 ms."
    assert answer(raced(100, 90)) == told
    assert f"<h1>{told}</h1>" in page(raced(100, 90))


def test_prices_are_named_where_they_are_known_and_none_is_made_up() -> None:
    assert "$" not in answer(raced(100, 90))
    assert "Price" not in sections(page(raced(100, 90)))
    paid = costs(PretendStack(endpoint="http://emulator"), 20, "table")  # pyright: ignore[reportArgumentType]
    of = [
        bill(defaults().having(variants=(name,), tasks_min=20, tasks_max=20), ARTICLE, prices("eu-south-1"))
        for name in ("lambda", "pipe")
    ]
    by_lambda, by_pipe = (f"{one.usd:,.2f}" for one in of)
    report = page(raced(100, 90, paid))
    assert (
        f"pipe for ${by_pipe} a month, 90 ms from a write to its last task; lambda for ${by_lambda} a month, "
        "100 ms." in report
    )
    told = sections(report)["Price"]
    assert "<th></th><th>lambda</th><th>pipe</th><th>lambda + pipe</th>" in told
    assert f"<td>all</td><td>{by_lambda}</td><td>{by_pipe}</td><td>" in told
    assert paid.terms in told
    assert (
        "20 tasks, 720 changes an hour, 100 items of 300 bytes, entry table, default settings" in paid.terms
    )


def test_on_aws_the_price_is_of_the_stack_s_own_settings() -> None:
    dev = PretendStack(name="dev")
    paid = costs(dev, 2, "table")  # pyright: ignore[reportArgumentType]
    own = configuration("dev").having(variants=("pipe",))
    assert paid.usd["pipe"] == bill(own, ARTICLE, prices("eu-south-1")).usd
    assert "the settings of Pulumi.dev.yaml" in paid.terms
    by_api = costs(dev, 2, "appsync")  # pyright: ignore[reportArgumentType]
    assert by_api.usd["pipe"] > paid.usd["pipe"]


def test_a_variant_that_lost_a_write_is_not_the_answer_however_soon_it_was() -> None:
    one = write(0)
    only_pipe = result([one], [delivery(one, "task/0", "pipe", 500)])
    assert answer(only_pipe) == (
        "Least late at worst: pipe, 500 ms from a write to its last task; lambda lost 1."
    )
    # Nor one that brought the others, and those sooner.
    both = [delivery(each, "task/0", "pipe", 500) for each in (one, write(1))]
    assert answer(result([one, write(1)], [*both, delivery(one)])) == answer(only_pipe)
    assert answer(result([one], [])) == (
        "No variant brought every write to every task; lambda lost 1, pipe lost 1."
    )


def test_an_answer_that_misses_the_deadline_says_so() -> None:
    assert answer(raced(2000, 3000)).endswith("The 2 s that are asked for were missed.")
    assert "missed" not in answer(raced(1999, 3000))


def test_what_went_wrong_is_marked_on_the_timeline() -> None:
    lost, failed = write(2), replace(write(1), version=None, error="throttled")
    row = result([write(0), failed, lost], [replace(delivery(write(0)), receives=2)])
    marks = {trace.name: list(trace.x) for trace in timeline(row).data if "x" in trace}
    assert marks["lambda: received again"] == [0]
    assert marks["lambda: lost"] == [2]
    assert marks["failed write"] == [1]
    assert "lambda: lost" not in {trace.name for trace in timeline(run()).data}
