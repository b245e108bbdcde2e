"""`python -m tests.program.measure` times the program's evaluation beside that of as many bare resources.

Both are evaluated with mocks, in turn and by the same entrypoint: the engine and AWS are not in it.
"""

import asyncio
import gc
import time
from collections.abc import Callable

import pulumi
import pulumi_aws as aws
from rich.console import Console

from bench.speed.figure import Figure, table_of
from tests.program.conftest import evaluate, run_program, stack_configuration

STACKS = ("dev", "lambda")
TURNS = 5


def timed(program: Callable[[], object], stack: str) -> float:
    """The seconds of CPU of an evaluation."""
    gc.collect()
    began = time.process_time()
    evaluate(program, stack_configuration(stack), stack)
    return time.process_time() - began


def measured(stack: str) -> Figure:
    """The program's evaluation ÷ that of as many queues, each by itself."""
    made = len(evaluate(run_program, stack_configuration(stack), stack).resources)  # the first one imports
    ratios, ours = list[float](), 0.0

    async def queues() -> None:
        for number in range(made):
            aws.sqs.Queue(f"queue-{number}")
        await asyncio.sleep(0)  # as the program does

    for _ in range(TURNS):
        ours = timed(run_program, stack)
        ratios.append(ours / timed(lambda: pulumi.run(queues), stack))
    return Figure(f"CPU to evaluate stack {stack} ÷ {made} bare queues", ratios, 1.25, note=f"{ours:.2f} s")


if __name__ == "__main__":
    Console().print(table_of([measured(stack) for stack in STACKS]))
