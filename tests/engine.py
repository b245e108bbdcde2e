import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Project:
    """A Pulumi project in a scratch folder with one stack, `test`, run by the real engine."""

    pulumi: Path
    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def make(cls, pulumi: Path, folder: Path, program: str, environment: Mapping[str, str]) -> "Project":
        program_folder, state = folder / "program", folder / "state"
        program_folder.mkdir()
        state.mkdir()
        (program_folder / "Pulumi.yaml").write_text("name: scratch\nruntime: python\n")
        (program_folder / "__main__.py").write_text(program)
        project = cls(
            pulumi,
            program_folder,
            {
                **os.environ,
                "PULUMI_BACKEND_URL": state.as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": "",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                **environment,
            },
        )
        initialised = project.run("stack", "init", "test")
        assert initialised.returncode == 0, initialised.stdout
        return project

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
