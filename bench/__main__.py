"""`python -m bench`: one command an experiment."""

import sys

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from bench.compare import compare
from bench.cost.run import cost
from bench.errors import ExperimentError
from bench.faults.run import faults
from bench.fleet import fleet
from bench.handoff.run import handoff
from bench.reap.run import reap
from bench.rows import rows
from bench.run import run
from bench.scale.run import scale
from bench.speed.run import speed

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (run, compare, rows, fleet, faults, reap, speed, handoff, cost, scale):
    app.command()(command)


@app.callback()
def bench() -> None:
    """Experiments on a running stack, their reports, and what stacks cost."""


def main() -> int:
    """Run a command; what stops it is one line."""
    try:
        app()
    except (ExperimentError, BotoCoreError, ClientError) as problem:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
