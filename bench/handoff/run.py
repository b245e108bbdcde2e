"""`bench handoff`: give a function messages in several ways, and account for each."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from bench import environment, traces
from bench.deliveries import CLOCK_MARGIN_MS
from bench.errors import ExperimentError
from bench.handoff.functions import Order, Sender, restarting
from bench.handoff.lines import HandoffLog, follow
from bench.handoff.plan import PRESETS, WARM_UP_ROUNDS, Message, Preset, plan
from bench.handoff.result import Observation, conclude, save
from bench.handoff.traces import of_handoffs
from bench.report.handoff import page, show
from bench.report.terminal import progress_bars
from bench.result import RESULTS
from bench.stack import HandoffStack, find_handoff
from bench.writer import now_ms, on_schedule

MOST_MESSAGES, MOST_COLD = 400, 50
"""A run's lines must fit into one answer of the emulator's log, 10,000: 400 × 4 ways × 6 cells do."""


def handoff(
    *,
    stack: Annotated[str, typer.Option(help="The stack: a local one that is up, or one on AWS.")],
    preset: Annotated[
        Literal["full", "epsagon"], typer.Option(help="Each size with each work of B, or the article's plan.")
    ] = "full",
    messages: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_MESSAGES, help="How many of each kind; the preset's by default."),
    ] = None,
    interval: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds from one to the next; the preset's by default.")
    ] = None,
    cold: Annotated[
        int, typer.Option(min=0, max=MOST_COLD, help="How many cold starts of B to provoke for each way.")
    ] = 5,
    seed: Annotated[int | None, typer.Option(help="The seed of the plan; random by default.")] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without news after which what is missing counts as lost.")
    ] = 60,
    traces_to: Annotated[
        Path | None, typer.Option("--traces", help="A folder for the messages' traces, as OTLP JSON.")
    ] = None,
) -> None:
    """Hand messages from one function to another in several ways: what A pays, and when B has them."""
    console = Console()
    found, chosen = find_handoff(stack), secrets.randbelow(2**32) if seed is None else seed
    of = PRESETS[preset]
    console.print(f"Stack {found.name}, ways {', '.join(of.ways or found.outputs.ways)}, seed {chosen}")
    with progress_bars(console) as progress:
        observation = observe(
            found,
            progress,
            preset,
            of,
            messages=messages or of.messages,
            interval_s=interval or of.interval_s,
            cold=cold,
            seed=chosen,
            patience_s=patience,
        )
    result = conclude(observation)
    folder = save(result, page, RESULTS)
    show(result, console)
    console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    if traces_to:
        spans = of_handoffs(result.handoffs)
        path = traces.save(spans, found.name, observation.environment["started"], traces_to)
        console.print(f"Traces: {path}", soft_wrap=True)
    if not result.passed:
        raise typer.Exit(1)


def observe(
    stack: HandoffStack,
    progress: Progress,
    name: str,
    preset: Preset,
    *,
    messages: int,
    interval_s: float,
    cold: int,
    seed: int,
    patience_s: float,
) -> Observation:
    """Warm up, hand over on the schedule, then provoke cold starts one at a time."""
    start = datetime.now(UTC)
    described = environment.describe(stack, seed, start)
    of, ways = stack.outputs, preset.ways or stack.outputs.ways
    prefix = f"bench:{start:%Y%m%dT%H%M%S%f}:"
    sender = Sender(stack.client("lambda", attempts=1), of.sender)
    log = HandoffLog(stack.client("logs"), (of.sender_log_group, of.receiver_log_group), prefix)

    def make(phase: str, planned: Sequence[Message]) -> tuple[list[Order], bool]:
        """Give the orders and wait for what they bring; whether anything came."""
        since = now_ms() - CLOCK_MARGIN_MS
        bar = progress.add_task(f"{phase}: orders", total=len(planned))
        orders = on_schedule(planned, interval_s, sender.order, lambda: progress.advance(bar))
        given = [order.message.id for order in orders if order.error is None]
        bar = progress.add_task(f"{phase}: messages", total=len(given))
        return orders, follow(log, since, given, patience_s, lambda news: progress.advance(bar, news))

    smallest, began = [min(preset.cells)], now_ms() - CLOCK_MARGIN_MS
    warm_up, came = make("warm-up", plan(WARM_UP_ROUNDS, ways, smallest, seed, f"{prefix}w"))
    if all(order.error for order in warm_up):
        raise ExperimentError(f"function {of.sender} handed nothing over: {warm_up[0].error}")
    if not came:
        raise ExperimentError(
            f"the receiver logged none of {len(warm_up)} messages in {patience_s:.0f} s: see log group "
            f"{of.receiver_log_group}"
        )
    measured, _ = make("measured", plan(messages, ways, preset.cells, seed, f"{prefix}m"))
    provoked: list[Order] = []
    if planned := plan(cold, ways, smallest, seed, f"{prefix}c"):
        bar = progress.add_task("cold starts", total=len(planned))
        with restarting(stack.client("lambda"), of.receiver) as restart:
            for message in planned:
                since = now_ms() - CLOCK_MARGIN_MS
                restart()
                provoked.append(sender.order(message, now_ms()))
                if provoked[-1].error is None:
                    follow(log, since, [message.id], patience_s)
                progress.advance(bar)
    return Observation(
        environment=described,
        preset=name,
        ways=ways,
        interval_s=interval_s,
        orders={"warm-up": warm_up, "measured": measured, "provoked": provoked},
        lines=list(log.read(began)),  # all of them, with copies that came late
        note=preset.note,
    )
