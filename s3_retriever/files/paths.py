"""Paths of files, as they can be shown and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_folder(path: Path) -> bool:
    """Whether a path is that of a folder; one that cannot be looked at is not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_special(path: Path) -> bool:
    """Whether it is there and is no file, such as a pipe, which would be waited for."""
    try:
        return path.exists() and not path.is_file()
    except OSError:
        return False


def printable(name: str) -> str:
    """A file's name as it can be shown, where it is no Unicode too."""
    return name if encodes(name) else ascii(name)


def encodes(text: str) -> bool:
    """Whether a name is Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
