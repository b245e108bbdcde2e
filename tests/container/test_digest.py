import random
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from consumer.digest import digest_of

ITEMS = st.dictionaries(st.text(min_size=1), st.integers(0, 2**60), max_size=20)


def test_the_digest_is_the_documented_sum() -> None:
    def factor(item_id: str) -> int:
        return int.from_bytes(blake2b(item_id.encode(), digest_size=16).digest(), "big") | 1

    total = factor("a") * (2 * 7 + 1) + factor("é") * (2 * 1_700_000_000_001 + 1)
    assert digest_of([("a", 7), ("é", 1_700_000_000_001)]) == f"{total % 2**128:032x}"


def test_nothing_has_digest_zero() -> None:
    assert digest_of([]) == "0" * 32


@given(items=ITEMS, seed=st.randoms())
def test_the_order_of_the_items_does_not_matter(items: dict[str, int], seed: random.Random) -> None:
    pairs = list(items.items())
    shuffled = seed.sample(pairs, len(pairs))
    assert digest_of(shuffled) == digest_of(pairs)


@given(
    items=ITEMS,
    item_id=st.text(min_size=1),
    versions=st.lists(st.integers(0, 2**60), min_size=2, unique=True),
)
def test_another_version_of_one_item_is_another_digest(
    items: dict[str, int], item_id: str, versions: list[int]
) -> None:
    one, other = ((items | {f"user:{item_id}": version}).items() for version in versions[:2])
    assert digest_of(one) != digest_of(other)


def test_the_systems_items_are_no_part_of_it() -> None:
    assert digest_of([("statecast:watermark:0", 7), ("a", 1)]) == digest_of([("a", 1)])
