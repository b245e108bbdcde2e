"""`python -m tests.privilege.page` writes the tables of docs/privileges.md: who may do what, and what not."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.engine import CHECKOUT
from tests.privilege.calls import CALLS, REFUSED
from tests.privilege.principals import PRINCIPALS, writer
from tests.privilege.stacks import ROLE_POLICY, evaluated

PAGE = CHECKOUT / "docs" / "privileges.md"
BEGIN, END = "<!-- Tables, by `python -m tests.privilege.page` -->\n", "<!-- End of the tables -->\n"


def page() -> str:
    """The page with its tables anew, and the rest as it is."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    tables = "\n".join([*_roles(), *_writer(), *_refused()])
    return f"{before}{BEGIN}{tables}{END}{rest.partition(END)[2]}"


def _roles() -> Iterator[str]:
    stacks = {stack: evaluated(stack) for stack in ("dev", "local")}
    for name, principal in PRINCIPALS.items():
        if not principal.role:
            continue
        policy = f"{principal.role}-policy"
        stack = next(stack for stack, made in stacks.items() if policy in {it.name for it in made.resources})
        yield f"## {name}\n\n{principal.purpose} Role `{principal.role}`, in the stack `{stack}`:\n"
        yield "| may | on | if |\n|---|---|---|"
        yield from map(_row, json.loads(stacks[stack][ROLE_POLICY, policy].inputs["policy"])["Statement"])
        yield ""


def _row(statement: Mapping[str, Any]) -> str:
    resources = statement["Resource"]
    on = [resources] if isinstance(resources, str) else resources
    short = [each.split(":", 5)[-1] for each in on]
    shown = [f"`{each}`" for each in short[:1]] + ([f"… `{short[-1]}`"] if len(short) > 1 else [])
    if_ = f"`{json.dumps(statement['Condition'])}`" if "Condition" in statement else ""
    return f"| {', '.join(f'`{action}`' for action in statement['Action'])} | {' '.join(shown)} | {if_} |"


def _writer() -> Iterator[str]:
    yield f"## writer\n\n{PRINCIPALS['writer'].purpose} This is all that its role needs:\n"
    document = {"Version": "2012-10-17", "Statement": writer("arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE")}
    yield f"```json\n{json.dumps(document, indent=2)}\n```\n"


def _refused() -> Iterator[str]:
    tried = sum(map(len, REFUSED.values()))
    yield f"## What is refused\n\n{tried} calls, of {len(CALLS)} kinds.\n"
    yield "| who | may not |\n|---|---|"
    for name, calls in REFUSED.items():
        others = f" ({PRINCIPALS[name].purpose.rstrip('.')})" if PRINCIPALS[name].policy else ""
        yield f"| {name}{others} | {'; '.join(calls)} |"
    yield "\nAnd another topic that is subscribed to a slot's queue delivers nothing to it.\n"


if __name__ == "__main__":
    PAGE.write_text(page())
