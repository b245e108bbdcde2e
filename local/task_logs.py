"""What tasks print, carried to CloudWatch Logs as the awslogs driver does.

Each task writes to a file that is read behind it: a task never waits for its reader, and what it printed
before it was killed is still there.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from local.emulator import Account

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
MAX_EVENTS = 10_000
MAX_BATCH_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26
MAX_LINE_BYTES = 262_144 - EVENT_OVERHEAD_BYTES
"""A longer line becomes several events, as with the driver."""

logger = logging.getLogger(__name__)


def next_batch(file: BinaryIO, *, ended: bool) -> list[str]:
    """The next lines that fit one PutLogEvents call; the file is left where the next batch begins.

    Args:
        file: what a task has printed so far.
        ended: nothing more will be written, so a last line without its end counts too.
    """
    lines: list[str] = []
    size = 0
    while len(lines) < MAX_EVENTS:
        start = file.tell()
        raw = file.readline(MAX_LINE_BYTES)
        whole = raw.endswith(b"\n") or len(raw) == MAX_LINE_BYTES or ended
        line = raw.decode(errors="replace").rstrip("\r\n")
        size += len(line.encode()) + EVENT_OVERHEAD_BYTES
        if not raw or not whole or size > MAX_BATCH_BYTES:
            file.seek(start)
            break
        if line:  # CloudWatch refuses an empty event
            lines.append(line)
    return lines


class TaskLogs:
    """The output of all tasks on its way; one thread calls `round`, another may start or follow."""

    def __init__(self, account: Account) -> None:
        self._logs = account.client("logs")
        self._followed: list[tuple[BinaryIO, str, str, Callable[[], bool]]] = []

    def create(self, group: str, stream: str) -> None:
        """Make a stream; ClientError when its group does not exist."""
        self._logs.create_log_stream(logGroupName=group, logStreamName=stream)

    def follow(self, path: Path, group: str, stream: str, has_ended: Callable[[], bool]) -> None:
        """Carry what appears in a file to a stream, until the file's writer has ended."""
        self._followed.append((path.open("rb"), group, stream, has_ended))

    def round(self) -> None:
        """Carry what has been printed since the last round."""
        for followed in list(self._followed):
            file, group, stream, has_ended = followed
            ended = has_ended()  # asked first: what was printed before the end is then read to its last line
            try:
                self._carry(file, group, stream, ended=ended)
            except self._logs.exceptions.ResourceNotFoundException:
                logger.warning(
                    "%s %s is gone: the rest of its task's output is in %s", group, stream, file.name
                )
                ended = True
            if ended:
                file.close()
                self._followed.remove(followed)

    def _carry(self, file: BinaryIO, group: str, stream: str, *, ended: bool) -> None:
        start = file.tell()
        while lines := next_batch(file, ended=ended):
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": line} for line in lines]
            try:
                self._logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
            except BaseException:
                file.seek(start)  # the same lines again in the next round
                raise
            start = file.tell()
