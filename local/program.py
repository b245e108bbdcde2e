"""Run one Pulumi program in this fresh interpreter: `program.py ENGINE_ADDRESS < RunRequest`.

It does what `pulumi-language-python-exec` of an official install does, which is not in the package `pulumi`.
"""

import asyncio
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
import pulumi.runtime
from pulumi.runtime.proto import language_pb2

ALREADY_REPORTED = 32
"""Exit code that tells the language host that the user has seen the error."""


def run(request: language_pb2.RunRequest, engine: str) -> int:
    """Run the program that the engine asks for, report its failure once, and return the exit code."""
    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env()
    )
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=request.project,
            stack=request.stack,
            monitor=request.monitor_address,
            engine=engine,
            parallel=request.parallel,
            dry_run=request.dryRun,
            organization=request.organization,
            root_directory=request.info.root_directory,
        )
    )
    program = Path(request.info.program_directory, request.info.entry_point)
    sys.path.insert(0, str(program if program.is_dir() else program.parent))
    sys.argv = [str(program), *request.args]
    # A program that fails leaves outputs that nobody awaits; asyncio would report each of them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with asyncio.Runner() as runner:
        # A resource holds a thread while the engine makes it: the engine's own limit has to bind first.
        runner.get_loop().set_default_executor(ThreadPoolExecutor(max(request.parallel, 1) * 4))
        try:
            runner.run(
                pulumi.runtime.run_in_stack(
                    lambda: _discard(runpy.run_path(str(program), run_name="__main__"))
                )
            )
        except pulumi.RunError as error:
            pulumi.log.error(str(error))
            return ALREADY_REPORTED
        except Exception as error:  # noqa: BLE001  any failure of the program is reported, and once
            pulumi.log.error(f"the program failed:\n{_traceback(error, program)}")
            return ALREADY_REPORTED
    return 0


def _discard(_: object) -> None:
    """`run_in_stack` awaits what it gets back, and a module's globals are not for that."""


def _traceback(error: Exception, program: Path) -> str:
    """The traceback from the program's first frame on: those before it are the SDK's and ours."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    main = os.fspath(program / "__main__.py" if program.is_dir() else program)
    before = files.index(main) if main in files else 0
    return "".join(traceback.format_exception(error, limit=before - len(files)))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run(language_pb2.RunRequest.FromString(sys.stdin.buffer.read()), engine=sys.argv[1]))
