import json
from typing import Any

import pytest
from rich.console import Console

from bench.speed import forward
from bench.speed.figure import Figure, table_of
from bench.speed.forwarding import PUTS, Line, drain
from bench.speed.scratch import ITEMS, Scratch, item_of
from consumer.message import Delivery, decode
from tests.bench.pretend import PretendStack
from tests.functions.test_forwarder_handler import TOPIC, Topic, load


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


def test_the_forwarder_and_what_it_is_compared_with_publish_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, bare, handler = Topic(), Topic(), load("raise")
    monkeypatch.setattr(handler, "sns", ours)
    handler.handle({"Records": forward.records(3)}, None)
    forward.bare(TOPIC, forward.records(3), bare)

    def said(topic: Topic) -> list[Any]:
        return [
            [{**entry, "Message": json.loads(entry["Message"])} for entry in call] for call in topic.calls
        ]

    assert said(ours) == said(bare)
    assert [len(call) for call in said(ours)] == [10] * 10


def test_the_time_of_a_put_is_by_item_and_the_last_one_ends_the_drain() -> None:
    class Pretended(Line):
        def put(self, number: int) -> int:
            return 1000 + number

        def came(self, count: int) -> dict[int, int]:
            return {number: 1100 + 2 * number for number in range(count)}

    p99, seconds = drain(Pretended(PretendStack(), "table", "queue"))  # pyright: ignore[reportArgumentType]
    assert p99 == pytest.approx((100 + PUTS * 0.99) / 1000, abs=0.002)
    assert seconds == pytest.approx((100 + 2 * (PUTS - 1)) / 1000)
