import json
import tempfile
import threading
import time
import urllib.request
from typing import Any, cast

import pytest

from consumer.message import Change
from consumer.replica import Replica
from consumer.server import PIECE, make_server, rendered
from local.emulator import free_port


@pytest.mark.parametrize("count", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
def test_the_items_are_one_json_object(count: int) -> None:
    held = [(f'"{number}"\n', number, '{"id":{"S":"é"}}') for number in range(count)]
    expected = {f'"{number}"\n': {"version": number, "item": {"id": {"S": "é"}}} for number in range(count)}
    assert json.loads("".join(rendered(held))) == expected


def test_a_long_answer_to_a_slow_reader_needs_no_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError("Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)

    class OnlyReplica:
        replica = Replica(300, lambda: 0.0)

    for number in range(200):
        OnlyReplica.replica.apply(Change(f"item-{number}", 1, json.dumps("x" * 200_000)))
    port = free_port()
    threading.Thread(target=make_server(cast(Any, OnlyReplica), port), daemon=True).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state/items", timeout=30) as answer:
        time.sleep(0.5)
        assert len(json.load(answer)) == 200
