"""docs/alarms.md has a row for every alarm, and none for what is no alarm."""

import re
from collections.abc import Callable

import pytest

from tests.program.conftest import CHECKOUT, Evaluation

STACKS = ("dev", "lambda", "pipe", "bus", "poll", "local", "handoff")
PLACES = {
    "NN": r"\d{2,3}",
    "FORWARDER": "(lambda|pipe|bus)",
    "VARIANT": "(lambda|pipe|bus|poll)",
    "WAY": r"\w+",
}


def documented() -> list[str]:
    rows = re.findall(r"^\| (`statecast-.*?) \|", (CHECKOUT / "docs" / "alarms.md").read_text(), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(.*?)`", row)]


def fits(name: str, row: str) -> bool:
    return bool(re.fullmatch("".join(PLACES.get(part, part) for part in re.split(r"(NN|[A-Z]+)", row)), name))


@pytest.fixture(scope="module")
def alarms(program: Callable[[str], Evaluation]) -> set[str]:
    made = [program(stack).of("aws:cloudwatch/metricAlarm:MetricAlarm") for stack in STACKS]
    return {alarm.name for of in made for alarm in of}


def test_every_alarm_has_one_row(alarms: set[str]) -> None:
    rows = documented()
    assert {
        name: found for name in alarms if len(found := [row for row in rows if fits(name, row)]) != 1
    } == {}


def test_every_row_is_of_an_alarm(alarms: set[str]) -> None:
    assert [row for row in documented() if not any(fits(name, row) for name in alarms)] == []
