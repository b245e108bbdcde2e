import pytest

from policies import coverage
from policies.rule import Rule
from policies.rules import RULES


def test_the_page_is_current() -> None:
    written = (coverage.HERE / "COVERAGE.md").read_text()
    assert written == coverage.page(), "run `python -m policies.coverage`"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_cites_ids_that_exist_and_apply(rule: Rule) -> None:
    listed = {key: entry for ids in coverage.standards().values() for key, entry in ids.items()}
    assert set(rule.answers) <= listed.keys()
    assert not [answer for answer in rule.answers if "not_applicable" in listed[answer]]


def test_every_id_is_listed_once() -> None:
    keys = [key for ids in coverage.standards().values() for key in ids]
    others = [
        also
        for ids in coverage.standards().values()
        for entry in ids.values()
        for also in entry.get("also", [])
    ]
    assert len({*keys, *others}) == len(keys) + len(others)
