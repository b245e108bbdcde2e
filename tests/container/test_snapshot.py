from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from consumer.message import Change
from consumer.replica import Replica
from consumer.snapshot import Snapshot
from tests.container.messages import TABLE, image

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Scan")


class Table:
    """Pages, one answer a call; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.starts: list[Any] = []
        self.before: Callable[[], None] = lambda: None

    def scan(self, **call: Any) -> Any:
        assert (call["TableName"], call["ConsistentRead"]) == (TABLE, True)
        self.starts.append(call.get("ExclusiveStartKey"))
        self.before()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.failures.random.uniform", lambda low, high: 0)


def make(*answers: Any) -> tuple[Snapshot, Table, Replica]:
    table, replica = Table(*answers), Replica(300, lambda: 0.0)
    return Snapshot(cast(Any, table), TABLE, replica), table, replica


def versions(replica: Replica) -> dict[str, int]:
    return {item_id: version for item_id, version, _ in replica.items()}


FIRST = {"Items": [image("a", 1), {"id": {"S": "unversioned"}}], "LastEvaluatedKey": {"id": {"S": "a"}}}
LAST = {"Items": [image("b", 2)]}


def test_it_goes_on_where_a_page_ended_and_says_when_it_is_complete() -> None:
    snapshot, table, replica = make(FIRST, LAST)
    completed: list[bool] = []
    snapshot.run(lambda: completed.append(snapshot.complete))
    assert table.starts == [None, {"id": {"S": "a"}}]
    assert completed == [True]
    assert versions(replica) == {"a": 1, "b": 2}


def test_a_page_that_fails_is_tried_again() -> None:
    snapshot, table, replica = make(FIRST, THROTTLED, THROTTLED, LAST)
    troubles: list[Any] = []
    table.before = lambda: troubles.append(snapshot.failures.trouble())
    snapshot.run(lambda: None)
    assert table.starts == [None, *[{"id": {"S": "a"}}] * 3]
    assert [trouble and trouble.throttled for trouble in troubles] == [None, None, True, True]
    assert snapshot.failures.trouble() is None
    assert versions(replica) == {"a": 1, "b": 2}


def test_one_that_is_closed_before_its_end_is_never_complete_and_buries_nothing() -> None:
    snapshot, table, replica = make(FIRST, LAST)
    replica.apply(Change("held", 1, "{}"))
    table.before = lambda: snapshot.close() if len(table.starts) == 2 else None
    snapshot.run(lambda: pytest.fail("it is not complete"))
    assert not snapshot.complete
    assert "held" in versions(replica)
    assert replica.doubts(Change("new", 1, "{}"), 10**15)


def test_a_change_that_is_applied_during_the_scan_is_kept() -> None:
    snapshot, table, replica = make(FIRST, LAST)

    def change() -> None:
        replica.apply(Change("b", 9, "{}"))
        replica.apply(Change("a", 2, None))

    table.before = change
    snapshot.run(lambda: None)
    assert versions(replica) == {"b": 9}
