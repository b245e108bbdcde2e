import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import __main__ as command
from bench.rows import rows_of
from tests.bench.synthetic import delivery, result, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def kept(folder: Path, name: str, summary: dict[str, Any]) -> str:
    (folder / name).mkdir()
    (folder / name / "summary.json").write_text(json.dumps(summary))
    return name


def a_run(cloud: str = "emulator (ministack 1.5.33)") -> dict[str, Any]:
    writes = [write(number) for number in range(10)]
    came = [delivery(one, "task/0", by) for one in writes for by in ("lambda", "pipe")]
    return result(writes, came[:-1], cloud=cloud, aws_only=("bus",)).summary()


def a_handoff(cloud: str = "aws") -> dict[str, Any]:
    counts = {"expected": 20, "delivered": 19, "lost": 1}
    operation, took = ({"mean": of, "p50": of, "p99": of, "max": of} for of in (210.5, 3.5))
    cell = {"way": "synchronous", **counts, "operation": operation, "delivery": took}
    return {
        "environment": {"cloud": cloud},
        "interval_s": 0.25,
        "warm": [cell | {"size": 65536, "work_ms": 200}],
        "cold": [cell],
    }


def test_runs_and_hand_offs_are_rows_of_one_table_beside_the_published(folder: Path) -> None:
    given = kept(folder, "a", a_run()), kept(folder, "b", a_handoff())
    done = CliRunner().invoke(command.app, ["rows", *given])
    assert done.exit_code == 0, done.output
    told = (folder / "results" / "latest" / "rows.md").read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if "|" in line]
    rows = {cell[0]: cell[1:] for cell in cells}
    assert rows["lambda: 10 × 1, each 1 s, by table"] == (
        ["local", "10", "0", "100", "100", "100", "100", ""]
    )
    assert rows["pipe: 10 × 1, each 1 s, by table"][:3] == ["local", "9", "1"]
    assert rows["bus: AWS only"] == ["AWS", *[""] * 7]
    of_handoff = ["AWS", "19", "1", "3.5", "3.5", "3.5", "3.5", "210"]
    assert rows["synchronous: 64 KB, B 200 ms, each 0.25 s"] == of_handoff
    assert rows["synchronous: B starts cold"] == of_handoff
    assert rows["published: AppSync → Lambda → SNS → SQS → task"][3] == "108"
    assert "…" not in done.output
    for text in (told, done.output):
        assert "its latency is not that of AWS" in text


def test_each_row_tells_the_pace_and_whether_it_is_an_emulator_s() -> None:
    burst = a_run("aws") | {"interval_s": None, "burst": {"steps": [{"rate": 20.0}, {"rate": 62.5}]}}
    summaries = (a_run("aws"), a_run(), a_run("aws") | {"interval_s": 0.5}, burst)
    assert [next(rows_of(summary))[:2] for summary in summaries] == [
        ("lambda: 10 × 1, each 1 s, by table", "AWS"),
        ("lambda: 10 × 1, each 1 s, by table", "local"),
        ("lambda: 10 × 1, each 0.5 s, by table", "AWS"),
        ("lambda: 10 × 1, a burst to 62.5/s, by table", "AWS"),
    ]
    assert [row[:2] for row in rows_of(a_handoff("emulator (ministack 1.5.33)"))] == [
        ("synchronous: 64 KB, B 200 ms, each 0.25 s", "local"),
        ("synchronous: B starts cold", "local"),
    ]


def test_of_aws_s_results_alone_nothing_is_said_of_an_emulator(folder: Path) -> None:
    done = CliRunner().invoke(command.app, ["rows", kept(folder, "a", a_run("aws"))])
    assert "not that of AWS" not in done.output


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        ("{}", "is of another experiment: give results of `run` and `handoff`"),
        ("{", "holds no result"),
        (None, "holds no result"),
    ],
)
def test_what_is_no_result_is_named(folder: Path, summary: str | None, told: str) -> None:
    (folder / "a").mkdir()
    if summary is not None:
        (folder / "a" / "summary.json").write_text(summary)
    done = CliRunner().invoke(command.app, ["rows", "a"])
    assert done.exit_code != 0
    assert told in str(done.exception)
