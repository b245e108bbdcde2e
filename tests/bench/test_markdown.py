from dataclasses import replace

from bench.report import markdown
from bench.report.wording import headline, paired
from bench.result import Result
from tests.bench.synthetic import delivery, result, write


def run(*, missing: int = 0, **of: str) -> Result:
    writes = [write(number) for number in range(30)]
    deliveries = [delivery(one, forwarder=by) for one in writes for by in ("lambda", "pipe")]
    return result(writes, deliveries[missing:], **of)  # pyright: ignore[reportArgumentType]


def test_it_says_what_the_other_reports_say() -> None:
    told = run()
    lines = markdown(told).splitlines()
    assert lines[0] == f"**{headline(told)}**"
    assert "| lambda | 30 | 30 | 0 | 0 | 0 | 100.00 | 100 | 100 | 100 | 100 … 100 |" in lines
    assert told.paired
    assert paired(told.paired) in lines
    assert not any("lost write" in line for line in lines)


def test_an_emulator_s_latency_is_called_that() -> None:
    told = "Measured on an emulator: its latency is not that of AWS."
    assert told in markdown(run(cloud="emulator"))
    assert told not in markdown(run())


def test_losses_are_named_and_at_most_twenty() -> None:
    told = markdown(run(missing=44))  # 22 writes, by both
    assert told.count("| a |") == 20
    assert "| 0 update | a | 1 | 0 | lambda |" in told
    assert "… and 24 more, all in `summary.json`." in told


def test_every_row_of_a_table_has_its_columns() -> None:
    told = result([write(0)], [], aws_only=("bus",))
    tables = [block.splitlines() for block in markdown(told).split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for rows in tables:
        assert len({row.count("|") for row in rows}) == 1, rows


def test_what_others_wrote_cannot_break_a_table() -> None:
    one = replace(write(0), version=None, error="a | b\n<script>")
    assert "| 0 update | a | a \\| b &lt;script&gt; |" in markdown(result([one], []))
