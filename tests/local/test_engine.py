import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from local import LocalError, engine

FOLDER = Path(engine.__file__).parent


@pytest.fixture
def console() -> Console:
    return Console(width=200, record=True, file=io.StringIO())


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty at first; the cache is an empty folder too."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def tool(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "statecast" / f"engine-{engine.VERSION}" / "pulumi"


def test_the_version_that_is_built_is_the_one_that_go_mod_pins() -> None:
    pinned = re.search(
        r"^require github.com/pulumi/pulumi/pkg/v3 (\S+)$", (FOLDER / "go.mod").read_text(), re.M
    )
    assert pinned
    assert pinned[1] == engine.VERSION


@pytest.mark.parametrize(
    ("version", "usable"),
    [
        ("v3.200.0", True),
        ("3.259.0", True),
        ("v3.300.1-alpha", True),
        ("v3.199.0", False),
        ("v4.0.0", False),
        ("v2.300.0", False),
        ("", False),
    ],
)
def test_an_installed_engine_is_used_from_3_200_to_the_next_major_version(version: str, usable: bool) -> None:
    assert engine.is_usable(version) is usable


def test_the_installed_engine_comes_first_and_keeps_its_own_language_host(
    tools: Path, tmp_path: Path, console: Console
) -> None:
    pulumi = tool(tools, "pulumi", "echo v3.200.0")
    tool(tools, "pulumi-language-python", "")
    cached = cache(tmp_path)
    cached.parent.mkdir(parents=True)
    cached.touch()
    found = engine.find(console)
    assert found == engine.Engine(pulumi, has_language_host=True)
    assert found.install(tmp_path / "bin", tmp_path) == pulumi
    assert not (tmp_path / "bin").exists()


def test_an_installed_engine_without_a_language_host_is_given_ours(tools: Path, console: Console) -> None:
    pulumi = tool(tools, "pulumi", "echo v3.259.0")
    assert engine.find(console) == engine.Engine(pulumi, has_language_host=False)


def test_an_installed_engine_that_is_too_old_gives_way_to_the_cached_one(
    tools: Path, tmp_path: Path, console: Console
) -> None:
    tool(tools, "pulumi", "echo v3.100.0")
    cached = cache(tmp_path)
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert engine.find(console) == engine.Engine(cached, has_language_host=False)


def test_without_an_engine_and_without_go_one_line_says_what_to_install(
    tools: Path, console: Console
) -> None:
    with pytest.raises(LocalError) as error:
        engine.find(console)
    assert str(error.value) == (
        "There is no engine: no `pulumi` on PATH, and no `go` to build it with. Install Pulumi "
        "(https://www.pulumi.com/docs/install/) or Go 1.26 (https://go.dev/dl/)."
    )


def test_a_missing_engine_is_built_once_after_saying_why(
    tools: Path, tmp_path: Path, console: Console
) -> None:
    arguments = tmp_path / "arguments"
    tool(
        tools,
        "go",
        f'echo "$PWD $@" >> {arguments}\nwhile [ "$1" != -o ]; do shift; done; echo engine > "$2"',
    )
    built = engine.find(console)
    assert built == engine.Engine(cache(tmp_path), has_language_host=False)
    assert engine.find(console) == built
    assert built.pulumi.read_text() == "engine\n"
    assert list(built.pulumi.parent.iterdir()) == [built.pulumi]
    [call] = arguments.read_text().splitlines()
    assert call.startswith(f"{FOLDER} build ")
    assert f"common/version.Version={engine.VERSION} " in call
    assert "no `pulumi` on PATH; building v3.259.0 from its Go module" in console.export_text()


def test_a_build_that_fails_shows_the_end_of_its_output_and_leaves_no_engine(
    tools: Path, tmp_path: Path, console: Console
) -> None:
    tool(
        tools,
        "go",
        'while [ "$1" != -o ]; do shift; done; echo half > "$2"; echo "no space left" >&2; exit 1',
    )
    with pytest.raises(LocalError, match=r"`go build` of the engine failed:\nno space left"):
        engine.find(console)
    assert list(cache(tmp_path).parent.iterdir()) == []


def test_the_engine_is_linked_beside_its_language_host(tmp_path: Path) -> None:
    (tmp_path / "pulumi").write_text("engine")
    linked = engine.Engine(tmp_path / "pulumi", has_language_host=False).install(tmp_path / "bin", tmp_path)
    assert linked == tmp_path / "bin" / "pulumi"
    assert linked.samefile(tmp_path / "pulumi")
    assert not linked.is_symlink()
    assert os.access(tmp_path / "bin" / "pulumi-language-python", os.X_OK)


def test_the_engine_is_copied_where_it_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "pulumi").write_text("engine")
    (tmp_path / "pulumi").chmod(0o755)
    copied = engine.Engine(tmp_path / "pulumi", has_language_host=False).install(tmp_path / "bin", tmp_path)
    assert copied.read_text() == "engine"
    assert os.access(copied, os.X_OK)


def test_the_language_host_runs_from_a_checkout_and_a_python_with_a_space_in_their_paths(
    tmp_path: Path,
) -> None:
    checkout = tmp_path / "it's a checkout"
    (checkout / "local").mkdir(parents=True)
    (checkout / "local" / "__init__.py").touch()
    (checkout / "local" / "language_host.py").write_text("import sys\ndef main(): print(sys.argv[1:])\n")
    python = tmp_path / "a python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    host = tmp_path / "pulumi-language-python"
    host.write_text(engine.language_host_script(python, checkout))
    host.chmod(0o755)
    answer = subprocess.run([host, "-root=/a b", "127.0.0.1:1"], capture_output=True, text=True, check=True)
    assert answer.stdout == "['-root=/a b', '127.0.0.1:1']\n"
