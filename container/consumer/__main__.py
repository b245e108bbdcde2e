"""`python -m consumer`: one task."""

import os
import signal
import sys
from threading import Thread
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from consumer.metadata import Metadata, read_metadata
from consumer.pages import give_changes
from consumer.server import make_server
from consumer.settings import SettingError, Settings
from consumer.task import Task

if TYPE_CHECKING:
    from consumer.traces import Traces

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
# A receive that hangs must have been given up before its thread passes for stopped, `health.SILENCE_SECONDS`
# after the long poll.
LONG_POLL_RETRIES: Any = RETRIES | {"total_max_attempts": 2}


def main() -> int:
    """Run until SIGTERM; the exit status."""
    # Blocked before there are threads to inherit it, and taken by `sigwait`: no handler interrupts anything.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        settings = Settings.from_environment(os.environ)
        task = make_task(settings, read_metadata(settings.metadata_uri))
        answer = make_server(task, settings.port)
    except (SettingError, OSError) as error:
        print(f"consumer: {error}", file=sys.stderr)  # noqa: T201
        return 1
    Thread(target=answer, name="server", daemon=True).start()
    Thread(target=stop_when_told, args=(task,), name="stop", daemon=True).start()
    task.run()
    if task.traces:
        task.traces.close()
    return 0


def stop_when_told(task: Task) -> None:
    """Wait for the signal."""
    signal.sigwait(STOP_SIGNALS)
    task.stop()


def make_task(settings: Settings, metadata: Metadata) -> Task:
    """The task with its clients."""
    session: Any = boto3.Session()
    dynamodb = session.client("dynamodb", config=Config(retries=RETRIES, connect_timeout=2, read_timeout=10))
    give_changes(dynamodb)
    # The answer to a long poll comes at its end.
    sqs = session.client(
        "sqs",
        config=Config(
            retries=LONG_POLL_RETRIES,
            connect_timeout=5,
            read_timeout=settings.long_poll_seconds + 5,
            # Two calls a batch, all day, and always of the same shape: a twentieth of the CPU of a change.
            parameter_validation=False,
        ),
    )
    traces = start_traces(metadata.arn) if settings.traces else None
    return Task(settings, metadata, dynamodb, sqs, traces)


def start_traces(arn: str) -> "Traces":
    """What sends the traces of a task."""
    from consumer import traces  # noqa: PLC0415 - a task that sends none has no memory for the SDK

    return traces.start(arn)


if __name__ == "__main__":
    sys.exit(main())
