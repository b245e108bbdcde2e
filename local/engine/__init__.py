"""The Pulumi engine: the installed one, else one built once from its Go module."""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from local import LocalError

VERSION = "v3.259.0"
"""The version that is built; `go.mod` beside this file pins the same."""

OLDEST = (3, 200)
"""The oldest installed version that is used: the program's SDK is of the same age."""

PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
# The Automation API and plugins refuse an engine that does not know its version.
LINKER_FLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"


@dataclass(frozen=True)
class Engine:
    """A `pulumi` executable, and whether a language host for Python came with it."""

    pulumi: Path
    has_language_host: bool

    def install(self, folder: Path, checkout: Path) -> Path:
        """Put the engine with a language host into `folder` where it has none; give the path to run.

        The host must be a real file beside the executable: the engine warns of a link and of one on PATH.
        """
        if self.has_language_host:
            return self.pulumi
        folder.mkdir(parents=True, exist_ok=True)
        pulumi = folder / "pulumi"
        if not pulumi.exists():
            try:
                pulumi.hardlink_to(self.pulumi)
            except OSError:  # another file system, or one without hard links
                shutil.copy2(self.pulumi, pulumi)
        host = folder / "pulumi-language-python"
        host.write_text(language_host_script(Path(sys.executable), checkout))
        host.chmod(0o755)
        return pulumi


def find(console: Console) -> Engine:
    """The installed engine if it is recent enough, else the one in the cache, which is built when missing.

    Raises LocalError when there is none and it cannot be built.
    """
    reason = "no `pulumi` on PATH"
    if installed := shutil.which("pulumi"):
        version = installed_version(installed)
        if is_usable(version):
            path = Path(installed).resolve()
            return Engine(path, has_language_host=(path.parent / "pulumi-language-python").exists())
        reason = f"`pulumi` on PATH is {version}, and 3.{OLDEST[1]} or newer is needed"
    cached = platformdirs.user_cache_path("statecast") / f"engine-{VERSION}" / "pulumi"
    if not cached.exists():
        if not shutil.which("go"):
            raise LocalError(
                f"There is no engine: {reason}, and no `go` to build it with. Install Pulumi "
                "(https://www.pulumi.com/docs/install/) or Go 1.26 (https://go.dev/dl/)."
            )
        console.print(f"{reason}; building {VERSION} from its Go module, about 6 minutes, once")
        build(cached, console)
    return Engine(cached, has_language_host=False)


def installed_version(pulumi: str) -> str:
    """What `pulumi version` says."""
    return subprocess.run([pulumi, "version"], capture_output=True, text=True, check=False).stdout.strip()


def is_usable(version: str) -> bool:
    """Whether an installed engine of this version can run the program."""
    number = re.match(r"v?(\d+)\.(\d+)\.", version)
    if not number:
        return False
    major, minor = int(number[1]), int(number[2])
    return major == OLDEST[0] and minor >= OLDEST[1]


def build(target: Path, console: Console) -> None:
    """Build the engine into `target`, which appears only when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / "pulumi"
        command = ["go", "build", "-v", "-trimpath", "-ldflags", LINKER_FLAGS, "-o", str(built), PACKAGE]
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with (
            Progress(*columns, console=console, transient=True) as progress,
            subprocess.Popen(
                command,
                cwd=Path(__file__).parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as go,
        ):
            task = progress.add_task("go build")
            lines: list[str] = []
            for line in go.stdout or ():
                lines.append(line.rstrip())
                progress.update(task, description=f"{len(lines)} packages, {lines[-1][-60:]}")
        if go.returncode != 0:
            raise LocalError("`go build` of the engine failed:\n" + "\n".join(lines[-20:]))
        built.rename(target)


def language_host_script(python: Path, checkout: Path) -> str:
    """An executable that runs the checkout's language host in this virtual environment.

    A shell script, since the first line of a Python script can hold neither a long path nor one with a space.
    """
    program = (
        f"import sys; sys.path.insert(0, {str(checkout)!r}); from local.language_host import main; main()"
    )
    return f'#!/bin/sh\nexec {shlex.quote(str(python))} -c {shlex.quote(program)} "$@"\n'
