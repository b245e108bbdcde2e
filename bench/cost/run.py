"""`bench cost`: what a stack costs a month, by variant and line by line, and where polling and push cross."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bench.configuration import Configuration, configuration
from bench.cost.crossing import Crossing, crossings
from bench.cost.model import ARTICLE, HOURS, Bill, Demand, Entry, bill
from bench.cost.prices import prices
from bench.deliveries import POLL
from bench.environment import stamp
from bench.errors import ExperimentError
from bench.report.wording import parts
from bench.result import RESULTS, folder_of

VARIANTS = (("lambda",), ("pipe",), ("lambda", "pipe"), ("bus",), (POLL,))
"""That are compared; `bus`: pipe → EventBridge bus → topic."""
SECONDS_OF = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "month": HOURS * 3600}
RATE = re.compile(r"(\d+(?:\.\d+)?)/(\w+)")
NOT_COUNTED = (
    "Not counted: free tiers, taxes, what keeps logs and the image, requests of KMS, and a pipe's reads of "
    "the stream (a Lambda's are free; of a pipe's we found no word)."
)


def cost(
    *,
    stack: Annotated[str, typer.Option(help="A stack's name: its file is read, nothing need run.")],
    tasks: Annotated[int | None, typer.Option(min=1, help="Tasks; the stack's tasksMin by default.")] = None,
    changes: Annotated[str, typer.Option(help="How many, by s, min, h, d or month.")] = "720/h",
    items: Annotated[int, typer.Option(min=0, help="Items in the table.")] = ARTICLE.items,
    item_bytes: Annotated[
        int, typer.Option(min=1, max=400_000, help="Bytes of an item.")
    ] = ARTICLE.item_bytes,
    entry: Annotated[Entry, typer.Option(help="Where changes enter.")] = "table",
) -> None:
    """Tell what a stack costs a month, from its files and list prices: no account, nothing that runs."""
    of = configuration(stack)
    if tasks:
        of = of.having(tasks_min=tasks, tasks_max=tasks)
    if entry == "appsync" and of.write_api == "none":
        raise ExperimentError(f"stack {stack!r} has no API: give --entry table, or set statecast:writeApi")
    demand = Demand(changes=per_second(changes), items=items, item_bytes=item_bytes, entry=entry)
    listed = prices(of.region)
    bills = [bill(of.having(variants=variants), demand, listed) for variants in VARIANTS]
    own = bill(of, demand, listed)
    push = of if of.forwarders else of.having(variants=("lambda",))
    found = list(crossings(push, demand, listed))
    console = Console()
    console.print(
        f"Stack {stack}, USD a month: {of.tasks_min} tasks, {changes}, {items:,} items of {item_bytes} bytes"
    )
    table, sources = itemised(own)
    console.print(table)
    console.print(sources, style="dim", highlight=False, soft_wrap=True)
    console.print(compared(bills))
    for one in found:
        console.print(f"{' + '.join(push.variants)} against {POLL}, {one}", highlight=False, soft_wrap=True)
    console.print(NOT_COUNTED, style="dim")
    start = stamp(datetime.now(UTC))
    with folder_of(start, RESULTS) as folder:
        told = summary(stack, of, demand, [own, *bills], found)
        (folder / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    console.print(f"Summary: {folder / 'summary.json'}", soft_wrap=True)


def per_second(rate: str) -> float:
    """Changes a second from text such as `720/h`.

    Raises:
        ExperimentError: it is no such text.
    """
    match = RATE.fullmatch(rate.strip())
    if match is None or match[2] not in SECONDS_OF:
        raise ExperimentError(
            f"--changes is {rate!r}: give a number by one of {', '.join(SECONDS_OF)}, such as 720/h"
        )
    return float(match[1]) / SECONDS_OF[match[2]]


def itemised(of: Bill) -> tuple[Table, str]:
    """Each line with its price, and where and of when the prices are."""
    sources = list(
        dict.fromkeys(f"{p.source}, {p.date}, {p.region}" for p in (line.price for line in of.lines))
    )
    table = Table(of.name, "how many", "price", "USD", "from", box=box.SIMPLE_HEAD)
    table.columns[1].justify = table.columns[3].justify = table.columns[4].justify = "right"
    for line in of.lines:
        source = 1 + sources.index(f"{line.price.source}, {line.price.date}, {line.price.region}")
        count = f"{line.count:,.0f}" if line.count >= 100 else f"{line.count:,.4g}"
        table.add_row(line.what, count, str(line.price), f"{line.usd:,.2f}", str(source))
    table.add_section()
    table.add_row("[bold]all[/]", "", "", f"[bold]{of.usd:,.2f}[/]")
    return table, "\n".join(f"{number}: {source}" for number, source in enumerate(sources, 1)) + "\n"


def compared(bills: Sequence[Bill]) -> Table:
    """The parts of several bills beside one another."""
    table = Table("part", box=box.SIMPLE_HEAD)
    for one in bills:
        table.add_column(one.name, justify="right")
    *rows, sums = parts(bills)
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*(f"[bold]{cell}[/]" for cell in sums))
    return table


def summary(
    stack: str, of: Configuration, demand: Demand, bills: Sequence[Bill], found: Sequence[Crossing]
) -> dict[str, object]:
    """`summary.json`: every line of every variant."""
    return {
        "stack": stack,
        "configuration": of.model_dump(by_alias=True),
        "demand": asdict(demand),
        "bills": {
            one.name: {
                "usd": one.usd,
                "lines": [
                    {"part": line.part, "what": line.what, "count": line.count, "usd": line.usd}
                    | {"price": line.price.model_dump()}
                    for line in one.lines
                ],
            }
            for one in bills
        },
        "crossings": [asdict(one) for one in found],
    }
