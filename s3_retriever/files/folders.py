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
from s3_retriever.files.reading import FoundFile, ListedFile, Reading
from s3_retriever.files.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ALL = Selection()


def read_path(path: Path, into: Reading, selection: Selection = _ALL) -> None:
    """Read a folder, the files and folders of a glob, or one file; see `list_path`."""
    _read_all(list_path(path, into, selection), into, selection)


def list_path(path: Path, into: Reading, selection: Selection = _ALL) -> list[ListedFile]:
    """List the files of a folder, of a glob, or one file, in the order of their paths.

    Args:
        path: As given; one with ``*``, ``?`` or ``[`` that is not there is a glob, in which ``**``
            stands for any folders.
        into: Takes what is not to be read.
        selection: Which files of folders are to be read.

    Returns:
        The files, to be read with `read_listed`.
    """
    if is_folder(path):
        return _listed_folder(path, into, selection)
    matches = _matches(path)
    if not matches:
        return [_listed_file(path)]
    listed: list[ListedFile] = []
    for match in matches:
        if is_folder(match):
            listed += _listed_folder(match, into, selection)
        elif selection.includes(match) and not is_special(match):
            listed.append(_listed_file(match))
        else:
            into.others.append(str(match))
    return listed


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
    reading = into or Reading()
    _read_all(_listed_folder(folder, reading, selection), reading, selection)
    return reading


def _read_all(listed: Iterable[ListedFile], into: Reading, selection: Selection) -> None:
    found = (read_listed(file, into, selection.encoding) for file in listed)
    into.files += [file for file in found if file is not None]


def _listed_folder(folder: Path, into: Reading, selection: Selection) -> list[ListedFile]:
    walked = _walk(folder.resolve(), folder, selection, into)
    listed = [ListedFile(path, place.as_posix(), str(folder / place)) for path, place in walked]
    return sorted(listed, key=lambda file: file.path)


def _listed_file(path: Path) -> ListedFile:
    """One file; one of a kind that is not known is read as plain text."""
    return ListedFile(Path(os.path.realpath(path)), path.name, str(path))


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


def read_listed(file: ListedFile, into: Reading, encoding: str | None = None) -> FoundFile | None:
    """Read one file; nothing holds its text but what is returned.

    Args:
        file: Of `list_path`.
        into: Takes what is to be said of it, or why it was not read.
        encoding: Of text files; None to find out.

    Returns:
        The file, or None where it cannot be read or holds no text.
    """
    try:
        if not encodes(str(file.path)):
            raise InputError("has a name that is not UTF-8; rename it")
        extracted = extract(RawFile(file.path.read_bytes(), file.given, encoding))
    except OSError as error:
        into.failed.append((printable(file.given), _cannot(error)))
        return None
    except InputError as error:
        into.failed.append((printable(file.given), str(error)))
        return None
    if not extracted.text.strip():
        into.empty.append(file.path)
        return None
    found = FoundFile(file.path, file.place, extracted)
    into.note(found)
    return found


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}; check the path and its permissions"
