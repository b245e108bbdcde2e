from dataclasses import replace

from bench.result import conclude
from bench.statistics import Distribution
from tests.bench.synthetic import delivery, polled, result, write


def test_the_entry_s_figure_is_from_the_write_to_its_acknowledgement() -> None:
    late = replace(write(1), acknowledged_at=write(1).written_at + 45)
    told = result([write(0), late, replace(write(2), version=None, error="no")], [])
    assert told.entry_ms == {"write_to_acknowledged": Distribution(2, 25, 5, 45, 45, 45)}


def test_tasks_that_left_and_came_are_counted() -> None:
    seen = result([write(0)], [], tasks=3).observation
    told = conclude(replace(seen, tasks_at_end=["task/0", "task/new"]))
    assert "The fleet changed: 2 of its 3 tasks left, 1 came." in told.notes
    assert not [note for note in result([write(0)], [], tasks=3).notes if "fleet" in note]


def test_changes_that_no_write_of_the_run_made_are_counted_but_not_a_poll_s_versions() -> None:
    one, by_another = write(0), [write(1, "other"), write(2, "other")]
    told = result([one], [delivery(one), *map(delivery, by_another), delivery(by_another[0], "task/1")])
    assert "2 changes were delivered that no acknowledged write made." in told.notes
    # A poll tells a delete by the version that it last saw, which no write made.
    deleted = result([replace(one, kind="delete")], [polled(replace(one, kind="delete"), version=9)])
    assert not [note for note in deleted.notes if "delivered" in note]
