import re
from dataclasses import replace
from io import StringIO

from rich.console import Console

from bench.report import page, show
from bench.report.wording import headline
from bench.result import Result
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
    for title in ("Milliseconds", "Where the time goes", "How soon", "Over the run"):
        assert f"Measured on an {EMULATOR}: {CAVEAT}." in told[title], title
    assert CAVEAT in printed(run())


def test_on_aws_nothing_is_said_of_an_emulator() -> None:
    on_aws = run(cloud="aws")
    assert CAVEAT not in page(on_aws)
    assert CAVEAT not in printed(on_aws)


def test_what_is_lost_is_named_in_both_reports() -> None:
    told = run(lost=True)
    assert headline(told).startswith("12 writes, 2 tasks: 1 of 48 deliveries lost, ")
    assert "<td>11 update</td><td>a</td><td>1</td><td>pipe</td>" in sections(page(told))["Deliveries"]
    assert "lost write 11 (update a version 12) at task task/1 by pipe" in printed(told)


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
