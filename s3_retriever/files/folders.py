"""Files, folders of them, and globs, read so that nothing is passed over in silence."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError
from s3_retriever.files.extract import RawFile
from s3_retriever.files.ignore import Ignored
from s3_retriever.files.kinds import extract
from s3_retriever.files.paths import encodes, is_folder, is_special, printable
from s3_retriever.files.reading import FoundFile, Reading
from s3_retriever.files.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALL = Selection()


def read_path(path: Path, into: Reading, selection: Selection = _ALL) -> None:
    """Read a folder, the files and folders of a glob, or one file.

    Args:
        path: As given; one with ``*``, ``?`` or ``[`` that is not there is a glob, in which ``**``
            stands for any folders.
        into: Takes what is read.
        selection: Which files of folders are read, and how.
    """
    if is_folder(path):
        read_folder(path, into, selection)
    elif matches := _matches(path):
        for match in matches:
            if is_folder(match):
                read_folder(match, into, selection)
            elif selection.includes(match) and not is_special(match):
                read_file(match, into, selection)
            else:
                into.others.append(str(match))
    else:
        read_file(path, into, selection)


def _matches(path: Path) -> list[Path]:
    if not glob.has_magic(str(path)) or os.path.lexists(path):
        return []
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - an absolute one too
    return [Path(match) for match in found]


def read_folder(folder: Path, into: Reading | None = None, selection: Selection = _ALL) -> Reading:
    """Read the files of a folder and its subfolders.

    Hidden files and folders are left out; links to folders are not followed, and are named among
    the others.

    Args:
        folder: That exists.
        into: Takes what is read; a new one by default.
        selection: Which files are read, and how.
    """
    reading, whole = Reading(), into or Reading()
    root = folder.resolve()
    for path, place in _walk(root, folder, selection, reading):
        _read_into(reading, path, place.as_posix(), str(folder / place), selection)
    whole.take(reading)
    return whole


def _walk(
    root: Path, given: Path, selection: Selection, reading: Reading
) -> Iterator[tuple[Path, Path]]:
    """The files to be read, each with its place below the root; notes those that are not."""
    ignored = Ignored(root) if selection.ignore_files else None

    def unreadable(error: OSError) -> None:
        reading.failed.append((printable(str(error.filename)), _cannot(error)))

    def unwanted(path: Path, is_folder: bool) -> bool:
        out = selection.excludes(path.relative_to(root), is_folder) or (
            ignored is not None and ignored(path, is_folder)
        )
        if out:
            reading.ignored.append(str(given / path.relative_to(root)) + "/" * is_folder)
        return out

    for where, folders, names in os.walk(root, onerror=unreadable):
        here = Path(where)
        if ignored and here != root:
            ignored.enter(here)
        shown = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in shown if (here / name).is_symlink()]
        folders[:] = [n for n in shown if n not in links and not unwanted(here / n, True)]
        for name in sorted([*names, *links]):
            path = here / name
            place = path.relative_to(root)
            if name.startswith(".") or unwanted(path, False):
                continue
            if name in links or not selection.includes(place) or is_special(path):
                reading.others.append(str(given / place))
            else:
                yield path, place


def read_file(path: Path, into: Reading, selection: Selection = _ALL) -> None:
    """Read one file; one of a kind that is not known is read as plain text."""
    _read_into(into, Path(os.path.realpath(path)), path.name, str(path), selection)


def _read_into(reading: Reading, path: Path, place: str, given: str, selection: Selection) -> None:
    try:
        if not encodes(str(path)):
            raise InputError("has a name that is not UTF-8; rename it")
        found = extract(RawFile(path.read_bytes(), given, selection.encoding))
    except OSError as error:
        reading.failed.append((printable(given), _cannot(error)))
    except InputError as error:
        reading.failed.append((printable(given), str(error)))
    else:
        if found.text.strip():
            reading.files.append(FoundFile(path, place, found))
        else:
            reading.empty.append(path)


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}; check the path and its permissions"
