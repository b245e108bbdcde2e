"""The calls to the two functions: orders to A, and a B that begins anew."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bench.handoff.plan import Message
from bench.writer import new_trace, now_ms


@dataclass(frozen=True, slots=True)
class Order:
    """A message that A was told to hand over, and how that ended; clocks in Unix milliseconds."""

    message: Message
    scheduled_at: int
    ordered_at: int
    answered_at: int
    error: str | None
    traceparent: str


@dataclass(frozen=True)
class Sender:
    """Function A, by a client that never retries: an order given twice would be two messages."""

    functions: Any
    arn: str

    def order(self, message: Message, scheduled_at: int) -> Order:
        """Have it hand a message over, and wait until it has."""
        ordered_at = now_ms()
        traceparent = new_trace()
        error = self._hand_over(message, traceparent)
        return Order(message, scheduled_at, ordered_at, now_ms(), error, traceparent)

    def _hand_over(self, message: Message, traceparent: str) -> str | None:
        event = {
            "id": message.id,
            "way": message.way,
            "size": message.size,
            "workMs": message.work_ms,
            "traceparent": traceparent,
        }
        try:
            answer = self.functions.invoke(FunctionName=self.arn, Payload=json.dumps(event))
        except (BotoCoreError, ClientError) as problem:
            return str(problem)
        said = answer["Payload"].read().decode(errors="replace")
        return f"the sender failed: {said}" if "FunctionError" in answer else None


@contextmanager
def restarting(functions: Any, arn: str) -> Iterator[Callable[[], None]]:
    """A call that has a function begin anew: its next invocation is a cold start.

    It changes a variable of the function's environment, on AWS and on the emulator: neither gives the next
    invocation to an environment of the old configuration. In the end the configuration is as it was.
    """
    variables = (
        functions.get_function_configuration(FunctionName=arn).get("Environment", {}).get("Variables", {})
    )

    def configure(**more: str) -> None:
        functions.update_function_configuration(FunctionName=arn, Environment={"Variables": variables | more})
        functions.get_waiter("function_updated_v2").wait(
            FunctionName=arn, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )

    try:
        yield lambda: configure(BEGUN=secrets.token_hex(8))
    finally:
        configure()
