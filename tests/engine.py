import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """A Pulumi project in a scratch folder with one stack, `test`, run by the real engine."""

    pulumi: Path
    folder: Path
    environment: Mapping[str, str]

    def command(self, *arguments: str | Path) -> list[str | Path]:
        return [self.pulumi, "--non-interactive", "--color=never", *arguments]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
