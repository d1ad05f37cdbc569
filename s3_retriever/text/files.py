"""Text files and folders of them, read so that nothing is passed over in silence."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError
from s3_retriever.text.formats import FORMATS, decoded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SUFFIXES = FORMATS.keys()
"""Of files that are read from a folder."""

_NAMED = 10


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text that was read.

    Attributes:
        path: Of the file: the resolved path of its folder and its place below that.
        place: Its place below the folder that was given, with ``/``; of a file that was given
            itself, its name.
        text: As it stands, line ends included, a byte order mark left out.
    """

    path: Path
    place: str
    text: str


@dataclass(slots=True)
class Reading:
    """What was read, and what was not.

    Attributes:
        files: With text, in the order of their paths.
        failed: Of each file or folder that could not be read its name and what to do.
        empty: Files without text.
        others: Names of files of kinds that are not read, hidden ones apart.
    """

    files: list[TextFile] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def problems(self) -> str:
        """All that could not be read, a line each."""
        return "\n".join(f"{name} {reason}" for name, reason in self.failed)

    def other_kinds(self, apart_from: Collection[str] = ()) -> str:
        """How many files of which kinds were not read, and some of their names."""
        names = [name for name in self.others if Path(name).name not in apart_from]
        kinds = Counter(map(_kind, names))
        return "; ".join(
            f"{number:,} of kind {kind}: {_some([n for n in names if _kind(n) == kind])}"
            for kind, number in kinds.most_common()
        )


def _kind(name: str) -> str:
    return Path(name).suffix.lower() or "no suffix"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more


def read_folder(folder: Path, into: Reading | None = None) -> Reading:
    """Read the text files of a folder and its subfolders.

    Hidden files and folders are left out; links to folders are not followed, and are named among
    the others.

    Args:
        folder: That exists.
        into: Takes what is read; a new one by default.
    """
    reading, whole = Reading(), into or Reading()
    root = folder.resolve()

    def unreadable(error: OSError) -> None:
        reading.failed.append((printable(str(error.filename)), _cannot(error)))

    for where, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(where) / name
            place = path.relative_to(root)
            if name.startswith("."):
                continue
            if name in links or path.suffix.lower() not in SUFFIXES or _is_special(path):
                reading.others.append(str(folder / place))
            else:
                _read_into(reading, path, place.as_posix(), str(folder / place))
    whole.files += sorted(reading.files, key=lambda file: file.path)
    whole.failed += reading.failed
    whole.empty += reading.empty
    whole.others += reading.others
    return whole


def is_folder(path: Path) -> bool:
    """Whether a path is that of a folder; one that cannot be looked at is not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_file(path: Path, into: Reading) -> None:
    """Read one file; one of a suffix that is not known is read as plain text."""
    _read_into(into, Path(os.path.realpath(path)), path.name, str(path))


def _is_special(path: Path) -> bool:
    """Whether it is there and is no file, such as a pipe, which would be waited for."""
    try:
        return path.exists() and not path.is_file()
    except OSError:
        return False


def _read_into(reading: Reading, path: Path, place: str, given: str) -> None:
    try:
        if not _encodes(str(path)):
            raise InputError("has a name that is not UTF-8; rename it")
        text = FORMATS.get(path.suffix.lower(), decoded)(path.read_bytes(), given)
    except OSError as error:
        reading.failed.append((printable(given), _cannot(error)))
    except InputError as error:
        reading.failed.append((printable(given), str(error)))
    else:
        if text.strip():
            reading.files.append(TextFile(path, place, text))
        else:
            reading.empty.append(path)


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}; check the path and its permissions"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """A file's name as it can be shown, where it is no Unicode too."""
    return name if _encodes(name) else ascii(name)


def below(path: str, root: Path) -> bool:
    """Whether a path is a folder or lies in it."""
    return Path(path).is_relative_to(root)


def is_gone(path: str) -> bool:
    """Whether there is no such file any more; one that may not be looked at is not gone."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def tails(path: Path, place: str) -> Iterator[str]:
    """The place of a file, then more and more of the path before it, then all of it."""
    parts = path.parts
    for size in range(len(Path(place).parts), len(parts)):
        yield "/".join(parts[-size:])
    yield path.as_posix()
