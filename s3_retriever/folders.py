"""Folders written whole or not at all, and never over what somebody else has put there."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_new(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files; interrupted at any point, it is not there.

    A folder that holds these very files already is left as it is.

    Args:
        folder: May be missing or empty.
        contents: Of the files, by path below the folder.

    Raises:
        FileExistsError: the folder holds something else.
        OSError: it could not be written.
    """
    folder = folder.resolve()
    if holds(folder, contents):
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already and is not empty")
    place = folder.absolute().parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".writing-") as temporary:
        work = Path(temporary) / "folder"
        for name, data in contents.items():
            _write(work / name, data)
        with suppress(FileNotFoundError):
            folder.rmdir()  # which an empty one of Windows would need
        work.rename(folder)


def holds(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Whether a folder holds these files, as they are; there may be others."""
    return all(is_file_of(folder / name, data) for name, data in contents.items())


def is_file_of(path: Path, data: bytes) -> bool:
    """Whether there is a file that holds just these bytes."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
