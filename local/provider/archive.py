"""Archives as they stand on the wire, zipped so that the same files always give the same bytes."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

# What marks an archive on the wire.
SIGNATURE = "4dabf18193072939515e22adb298388d"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def is_archive(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value of the wire is an archive."""
    return isinstance(value, dict) and value.get(SIGNATURE) == ARCHIVE


def zipped(archive: Mapping[str, Any]) -> bytes:
    """The zip of a folder, of another zip (`path`) or of `assets` by name; without bytecode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in sorted(_files(archive, "")):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return buffer.getvalue()


def _files(entry: Mapping[str, Any], at: str) -> Iterator[tuple[str, bytes]]:
    path = Path(entry.get("path", ""))
    if "assets" in entry:
        for name, each in entry["assets"].items():
            yield from _files(each, _join(at, name))
    elif "text" in entry:
        yield at, entry["text"].encode()
    elif "path" not in entry:
        raise ValueError(f"{entry}: the local stack packs files, folders and texts; give it a path")
    elif path.is_dir():
        for file in path.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield _join(at, file.relative_to(path).as_posix()), file.read_bytes()
    elif is_archive(entry):
        with zipfile.ZipFile(path) as source:
            yield from ((_join(at, name), source.read(name)) for name in source.namelist())
    else:
        yield at, path.read_bytes()


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
