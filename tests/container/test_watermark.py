import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from consumer.watermark import ITEMS, Watermark, late_after_ms, next_write
from tests.container.messages import TABLE

PERIOD_SECONDS = 10
LATE_MS = 14_000


class Time:
    """The time of day; waiting lets it pass."""

    def __init__(self) -> None:
        self.now = 1_800_000_003_000  # within a round

    def __call__(self) -> int:
        return self.now


class Table:
    """The calls that were made; `error` is raised instead."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def update_item(self, **call: Any) -> None:
        self.calls.append(call)
        if self.error:
            raise self.error


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("consumer.watermark.now_ms", time)
    monkeypatch.setattr("consumer.watermark.random.random", lambda: 0.5)
    return time


def make(
    *forwarders: str, table: Table | None = None, arrived: Callable[[], None] = lambda: None
) -> Watermark:
    return Watermark(
        cast(Any, table or Table()), TABLE, forwarders, period_seconds=PERIOD_SECONDS, arrived=arrived
    )


def test_the_next_is_due_after_a_period_and_at_most_a_fifth_of_it() -> None:
    assert [next_write(1_000, 10_000, chance) for chance in (0, 0.5, 1)] == [11_000, 12_000, 13_000]


def test_the_newest_is_late_after_the_period_the_spread_and_what_a_change_may_take() -> None:
    assert (late_after_ms(10), late_after_ms(2)) == (14_000, 4_400)


def test_the_lag_is_that_of_each_forwarder_by_itself(time: Time) -> None:
    watermark = make("lambda", "pipe")
    began = time.now
    time.now += 6_000
    watermark.came("lambda", began + 5_000)
    watermark.came("pipe", began + 1_000)
    watermark.came("pipe", began)  # out of order
    assert watermark.lag(began + 6_000) == {"lambda": 1_000, "pipe": 5_000}
    assert watermark.newest() == began + 5_000


def test_before_one_has_come_the_lag_is_the_age_of_the_tenure(time: Time) -> None:
    watermark = make("lambda", "pipe")
    watermark.came("pipe", time.now - 500_000)  # left in the queue by a former lessee
    assert watermark.lag(time.now + 3_000) == {"lambda": 3_000, "pipe": 3_000}


def test_a_writers_clock_that_is_ahead_hides_no_lag(time: Time) -> None:
    watermark = make("lambda")
    watermark.came("lambda", time.now + 3_600_000)
    assert watermark.lag(time.now + 5_000) == {"lambda": 5_000}


@pytest.mark.parametrize(
    ("lambda_age", "pipe_age", "late"),
    [
        (0, 0, False),
        (LATE_MS + 1, 0, False),
        (0, LATE_MS + 1, False),
        (LATE_MS, LATE_MS, False),
        (LATE_MS + 1, LATE_MS + 1, True),
    ],
)
def test_push_is_late_when_every_forwarder_is(time: Time, lambda_age: int, pipe_age: int, late: bool) -> None:
    watermark = make("lambda", "pipe")
    time.now += 10**6
    watermark.came("lambda", time.now - lambda_age)
    watermark.came("pipe", time.now - pipe_age)
    assert watermark.is_late(time.now) is late


def test_without_forwarders_push_is_always_late(time: Time) -> None:
    assert make().is_late(time.now)


def test_push_works_once_one_that_was_written_since_has_come_and_that_is_told_once(time: Time) -> None:
    told: list[bool] = []
    watermark = make("lambda", "pipe", arrived=lambda: told.append(True))
    watermark.came("lambda", time.now - 1)
    assert (watermark.works(), told) == (False, [])
    watermark.came("pipe", time.now)
    watermark.came("lambda", time.now + 1)
    assert (watermark.works(), told) == (True, [True])


def test_a_watermark_is_an_item_like_any_other_written_once_in_a_round(time: Time) -> None:
    table = Table()
    make("lambda", table=table)._write()
    [call] = table.calls
    number = time.now // 10_000
    # Since the tenure began, which is later than the round did.
    assert call == {
        "TableName": TABLE,
        "Key": {"id": {"S": f"statecast:watermark:{number % 16}"}},
        "UpdateExpression": "SET version = if_not_exists(version, :now) + :one, writtenAt = :now",
        "ConditionExpression": "attribute_not_exists(writtenAt) OR writtenAt < :before",
        "ExpressionAttributeValues": {
            ":now": {"N": str(time.now)},
            ":before": {"N": str(time.now)},
            ":one": {"N": "1"},
        },
    }


class SharedTable:
    """The watermarks, whose writers hear of them at once; the one condition."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self.written: list[int] = []
        self.writers: list[Watermark] = []

    def update_item(self, **call: Any) -> None:
        key, values = call["Key"]["id"]["S"], call["ExpressionAttributeValues"]
        assert call["ConditionExpression"] == "attribute_not_exists(writtenAt) OR writtenAt < :before"
        if self.items.get(key, 0) >= int(values[":before"]["N"]):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        self.items[key] = int(values[":now"]["N"])
        self.written.append(self.items[key])
        for writer in self.writers:
            writer.came("lambda", self.items[key])


@pytest.mark.parametrize(("old_s", "new_s"), [(10, 60), (60, 10), (10, 15), (10, 20), (10, 10)])
def test_a_deployment_may_change_the_period(time: Time, old_s: int, new_s: int) -> None:
    table = SharedTable()

    def join(period_s: int) -> Watermark:
        writer = Watermark(cast(Any, table), TABLE, ["lambda"], period_seconds=period_s, arrived=lambda: None)
        table.writers.append(writer)
        writer._write()
        return writer

    def go_on(seconds: int) -> bool:
        """Whether no writer was late at any second of them."""
        late = False
        for _ in range(seconds):
            time.now += 1000
            for writer in table.writers:
                if time.now >= next_write(writer._last(), writer._period_ms, 0.5):
                    writer._write()
                late |= writer.is_late(time.now)
        return not late

    old = [join(old_s) for _ in range(2)]
    assert go_on(600)
    table.writers = old + [join(new_s) for _ in range(2)]
    assert go_on(90)
    del table.writers[:2]
    before = len(table.written)
    assert go_on(3600)
    # One a round, of 1.1 periods, as it would be without the others.
    assert len(table.written) - before == pytest.approx(3600 / (1.1 * new_s), rel=0.1)


def test_sixteen_rounds_write_sixteen_items(time: Time) -> None:
    table = Table()
    watermark = make("lambda", table=table)
    for _ in range(ITEMS + 1):
        watermark._write()
        time.now += 10_000
    keys = [call["Key"]["id"]["S"] for call in table.calls]
    assert len(set(keys)) == ITEMS == 16
    assert keys[0] == keys[-1]


def run(watermark: Watermark, time: Time, *meanwhile: Callable[[], None]) -> list[float]:
    """Run the writer; during each wait something happens, and after the last it is closed. The waits."""
    waits: list[float] = []

    class Closed:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) > len(meanwhile):
                return True
            time.now += int(seconds * 1000)
            meanwhile[len(waits) - 1]()
            return False

    watermark._closed = cast(Any, Closed())
    watermark.run()
    return waits


def test_one_is_written_at_once_and_then_whenever_none_has_come_for_a_period(time: Time) -> None:
    table = Table()
    watermark = make("lambda", table=table)
    began = time.now

    def nothing() -> None:
        pass

    def another() -> None:
        watermark.came("lambda", began + 20_000)

    assert run(watermark, time, nothing, another, nothing) == [11, 11, 9, 11]
    written = [int(call["ExpressionAttributeValues"][":now"]["N"]) - began for call in table.calls]
    assert written == [0, 11_000, 31_000]


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


def test_that_another_task_was_first_is_normal_and_not_told(
    time: Time, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    table = Table()
    table.error = ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
    waits = run(make("lambda", table=table), time, lambda: None)
    assert (len(table.calls), waits, lines()) == (2, [11, 11], [])


def test_a_write_that_fails_is_told_and_tried_again_after_a_period(
    time: Time, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    table = Table()
    table.error = EndpointConnectionError(endpoint_url="https://dynamodb")
    waits = run(make("lambda", table=table), time, lambda: None)
    assert (len(table.calls), waits) == (2, [11, 11])
    assert [line["event"] for line in lines()] == ["watermark not written"] * 2
