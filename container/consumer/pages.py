"""Pages of a Scan, taken in item by item.

botocore makes two trees of an answer, which together take ten times its size, and a page is a megabyte. Here
each item becomes a change as soon as it is read, in half the time.
"""

import json
import re
from typing import TYPE_CHECKING, Any

from consumer.digest import SYSTEM_PREFIX
from consumer.message import Change, from_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_read = json.JSONDecoder().raw_decode
_blank = re.compile(r"[ \t\n\r]*")


def give_changes(dynamodb: "DynamoDBClient") -> None:
    """Have this client's `scan` give as `Items` what `parse` makes of them."""
    dynamodb.meta.events.register("before-parse.dynamodb.Scan", _take_items)


def _take_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    if response_dict["status_code"] == 200:
        rest, customized_response_dict["Items"] = parse(response_dict["body"].decode())
        response_dict["body"] = json.dumps(rest).encode()


def parse(text: str) -> tuple[dict[str, Any], list[Change | None]]:
    """What an answer holds besides its items, and the items as changes: None for one without a version.

    The system's own are left out.

    Raises:
        ValueError: it is no JSON object with a list of items.
    """
    rest: dict[str, Any] = {}
    changes: list[Change | None] | None = None
    at = _after(text, 0, "{")
    while text[at : at + 1] != "}":
        name, at = _read(text, at)
        at = _after(text, at, ":")
        if name == "Items":
            at, changes = _after(text, at, "["), []
            while text[at : at + 1] != "]":
                item, at = _read(text, at)
                if not item["id"]["S"].startswith(SYSTEM_PREFIX):
                    changes.append(from_item(item))
                at = _next(text, at, "]")
            at += 1
        else:
            rest[name], at = _read(text, at)
        at = _next(text, at, "}")
    if changes is None:  # which is not the same as a table without items
        raise ValueError("there are no items")
    return rest, changes


def _next(text: str, at: int, end: str) -> int:
    """Where the next member or element begins, or the end is."""
    at = _skip(text, at)
    return at if text[at : at + 1] == end else _after(text, at, ",")


def _after(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"{mark} is missing at character {at}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _blank.match(text, at)
    return found.end() if found else at
