import json

import pytest
from rich.console import Console

from bench.speed.measures import Figure
from bench.speed.run import table_of
from bench.speed.scratch import ITEMS, Scratch, item_of
from consumer.message import Delivery, decode
from tests.bench.pretend import PretendStack


@pytest.mark.parametrize(
    ("values", "at_least", "met"),
    [([1, 9, 5], False, True), ([5.1], False, False), ([5.1], True, True), ([4, 4.9, 9], True, False)],
)
def test_a_target_is_met_by_the_median(values: list[float], at_least: bool, met: bool) -> None:
    assert Figure("ratio", values, 5, at_least).met is met


def test_each_median_stands_beside_its_target_and_its_range() -> None:
    console = Console(record=True, width=120)
    console.print(table_of([Figure("rate", [0.9, 0.7, 0.8], 0.85, at_least=True, note="why")]))
    assert console.export_text().splitlines()[-2].split() == [
        "rate",
        "≥",
        "0.85",
        "0.8",
        "0.7",
        "…",
        "0.9",
        "missed",
        "why",
    ]


def test_a_burst_is_of_messages_that_a_consumer_applies() -> None:
    place = Scratch(PretendStack(), "state", "queue", {})  # pyright: ignore[reportArgumentType]
    times = {"SentTimestamp": "1", "ApproximateFirstReceiveTimestamp": "2", "ApproximateReceiveCount": "1"}
    told = decode({"MessageId": "m", "Body": place.body(ITEMS + 7), "Attributes": times}, "state")
    assert isinstance(told, Delivery)
    assert (told.change.id, told.change.version, told.forwarder) == ("00000007", ITEMS + 7, "lambda")


def test_an_item_has_300_bytes_of_json() -> None:
    assert len(json.dumps(item_of(99_999, 1))) == 300
