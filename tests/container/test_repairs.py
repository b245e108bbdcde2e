from consumer.message import Change
from consumer.repairs import Repairs

GRACE_SECONDS = 14.0


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def make(*suspected: Change) -> tuple[Repairs, Clock]:
    clock = Clock()
    repairs = Repairs(GRACE_SECONDS, clock)
    repairs.suspect(suspected)
    return repairs, clock


PUT, DELETE = Change("a", 5, "{}"), Change("b", 7, None)


def test_a_change_that_no_message_told_counts_once_its_grace_is_over() -> None:
    repairs, clock = make(PUT, DELETE)
    clock.seconds = GRACE_SECONDS - 0.1
    assert (repairs.settle(), repairs.count) == ([], 0)
    clock.seconds = GRACE_SECONDS
    assert (repairs.settle(), repairs.count) == ([("a", 5), ("b", 7)], 2)
    assert (repairs.settle(), repairs.count) == ([], 2)


def test_a_message_of_the_same_or_a_later_change_explains_it() -> None:
    repairs, clock = make(PUT, DELETE)
    repairs.came(Change("a", 5, "{}"))
    repairs.came(Change("b", 8, "{}"))
    clock.seconds = GRACE_SECONDS
    assert (repairs.settle(), repairs.count) == ([], 0)


def test_a_message_of_an_earlier_change_or_of_another_key_does_not() -> None:
    repairs, clock = make(PUT)
    repairs.came(Change("a", 4, "{}"))
    repairs.came(Change("other", 9, "{}"))
    clock.seconds = GRACE_SECONDS
    assert repairs.settle() == [("a", 5)]


def test_a_key_that_is_repaired_again_has_its_grace_anew() -> None:
    repairs, clock = make(PUT, DELETE)
    clock.seconds = 10
    repairs.suspect([Change("a", 6, "{}")])
    clock.seconds = GRACE_SECONDS
    assert repairs.settle() == [("b", 7)]
    clock.seconds = GRACE_SECONDS + 10
    assert repairs.settle() == [("a", 6)]


def test_what_push_was_late_with_is_no_repair() -> None:
    repairs, clock = make(PUT)
    repairs.forget()
    clock.seconds = GRACE_SECONDS
    assert repairs.settle() == []
