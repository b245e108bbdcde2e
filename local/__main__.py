"""The command line of the laptop: `python -m local up | preview | down | status`."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from local import LocalError
from local.stack import LocalStack, local_stack
from local.workspace import PulumiError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
output = Console(soft_wrap=True, highlight=False)
messages = Console(stderr=True, soft_wrap=True, highlight=False)

Stack = Annotated[str, typer.Option(help="The stack, as in Pulumi.<stack>.yaml.")]
Config = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Override a setting of the stack file; may be given again."),
]


@app.command()
def up(stack: Stack = "local", config: Config = None) -> None:
    """Deploy a stack to an emulator on this machine and start its tasks."""
    with told(stack) as local:
        local.up(config or [])
        show(local)


@app.command()
def preview(stack: Stack = "local", config: Config = None) -> None:
    """Plan a stack under the policy pack, without account or network; the exit code is pulumi's."""
    with told(stack) as local:
        local.preview(config or [])


@app.command()
def down(stack: Stack = "local") -> None:
    """Destroy a stack and end its emulator and tasks; that it is not up is no error."""
    with told(stack) as local:
        local.down()


@app.command()
def status(
    stack: Stack = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show a stack that is up: its endpoint, outputs and tasks."""
    with told(stack) as local:
        if as_json:
            print(json.dumps(local.status(), indent=2))  # noqa: T201
        else:
            show(local)


def show(local: LocalStack) -> None:
    """Print what is up."""
    now = local.status()
    width = max(map(len, now["outputs"]), default=0)
    for name, value in now["outputs"].items():
        listed = isinstance(value, list) and any(isinstance(one, dict) for one in value)
        output.print(f"{name:{width}} {f'{len(value)}, see status --json' if listed else value}")
    if now["tasks"]:
        tasks = Table("task", "slot", "pid", "URL", "status")
        for task in now["tasks"]:
            task_id = task["taskArn"].rpartition("/")[2]
            tasks.add_row(task_id, *(str(task[name] or "–") for name in ("slot", "pid", "url", "status")))
        output.print(tasks)
    output.print(f"Stack {now['stack']} is up at {now['endpoint']}")


@contextmanager
def told(stack: str) -> Iterator[LocalStack]:
    """The stack to work on: what goes wrong is told in a line, and a signal ends what was started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)
    try:
        yield local_stack(stack, messages)
    except LocalError as error:
        messages.print(f"error: {error}", markup=False)
        raise typer.Exit(1) from None
    except PulumiError as error:
        raise typer.Exit(error.exit_code) from None


def unwind(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every block that ends a process; a second signal must not cut that short."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: None)
    # Not by rich: the signal may have come in the middle of one of its imports.
    os.write(sys.stderr.fileno(), b"interrupted: ending what was started\n")
    raise SystemExit(128 + number)


if __name__ == "__main__":
    app()
