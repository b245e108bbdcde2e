"""`python -m local.supervisor FOLDER`: the process that keeps the emulator, the tasks and the alarms going.

AWS_REGION is the region whose tasks and alarms it keeps. `supervisor.json` in FOLDER exists while the
emulator answers. It logs to stderr, and ends on SIGTERM and SIGINT, the tasks before the emulator.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.alarms import Alarms
from local.emulator import Emulator, EmulatorError
from local.metadata import MetadataServer
from local.task_logs import TaskLogs
from local.tasks import Tasks, write_json

CONTAINER = Path(__file__).parents[1] / "container"

logger = logging.getLogger(__name__)


def repeat(work: Callable[[], None], seconds: float, stopped: threading.Event) -> None:
    """Do `work` each `seconds` until `stopped`."""
    while not stopped.wait(seconds):
        try:
            work()
        except (ClientError, BotoCoreError) as error:
            # Something was deleted meanwhile, or the emulator is ending: the next round sees which.
            logger.warning("%s", error)


def supervise(folder: Path, region: str, stopped: threading.Event) -> None:
    """Keep everything going until `stopped`; nothing is left at the return.

    Raises:
        EmulatorError: the emulator did not start, or ended.
    """
    emulator, metadata, running = Emulator(folder, region), MetadataServer(), folder / "supervisor.json"
    try:
        emulator.start()
        if emulator.wait(stopped):
            metadata.start()
            write_json(running, {"pid": os.getpid(), "endpoint": emulator.account.endpoint})
            keep(emulator, metadata, folder, stopped)
    finally:
        running.unlink(missing_ok=True)
        metadata.stop()
        emulator.stop()


def keep(emulator: Emulator, metadata: MetadataServer, folder: Path, stopped: threading.Event) -> None:
    """Run the tasks and the alarms of an emulator that answers, until `stopped` or its end."""
    logs = TaskLogs(emulator.account)
    tasks = Tasks(emulator.account, metadata, logs, CONTAINER, folder)
    alarms = Alarms(emulator.account, stopped)
    with ThreadPoolExecutor(8) as looks, ThreadPoolExecutor(4) as threads:
        try:
            loops = [
                threads.submit(repeat, tasks.round, 0.5, stopped),
                threads.submit(repeat, lambda: tasks.look(looks), 1.0, stopped),
                threads.submit(repeat, logs.round, 0.5, stopped),
                threads.submit(repeat, alarms.round, 0.0, stopped),
            ]
            while not stopped.wait(0.25):
                emulator.check()
                for loop in loops:
                    if loop.done():
                        loop.result()  # a loop ends before time by an error only
        finally:
            stopped.set()
            threads.shutdown()
            tasks.stop()
    logs.round()


def main() -> int:
    """Run until a signal; 1 when the emulator ended instead."""
    if len(sys.argv) != 2 or "AWS_REGION" not in os.environ:
        sys.exit("usage: AWS_REGION=eu-south-1 python -m local.supervisor FOLDER")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        supervise(Path(sys.argv[1]), os.environ["AWS_REGION"], stopped)
    except EmulatorError as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
