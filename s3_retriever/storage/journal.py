"""The journal of a save: names of files that it makes or will remove, noted before it does.

A save that was killed leaves files that no catalogue names. The next one removes what the journal
names, by exact name, and nothing else: a folder holds files of other people too.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from s3_retriever.errors import IndexFileError
from s3_retriever.storage import files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

JOURNAL = "s3-retriever.unfinished"
"""Name of the file; it is there only while a save is under way, or after one was killed."""

TEMPORARY = ".tmp"
"""What the name of a file ends in until it is whole."""

_HEAD = "s3-retriever: files of a save that is not finished"
_START = f"\n{_HEAD}\n"
_OURS = re.compile(r"segments/[0-9a-f]{32}\.safetensors|bank-[0-9a-f]{16}(/[\w-]+)*/[\w-]+\.\w+")


class Journal:
    """What an interrupted save has left, and what this one is about to leave.

    The caller holds the lock of the folder.

    Attributes:
        names: Paths of files below the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = read_journal(folder)
        if (folder / JOURNAL).exists() and not is_journal(folder):
            raise IndexFileError(
                f"{folder / JOURNAL} was not written by s3-retriever; move it away and save again"
            )

    def note(self, names: Iterable[str]) -> None:
        """Bring names to the disk before their files are made or taken out of use."""
        new = sorted(set(names) - self.names)
        if not new:
            return
        path = self._folder / JOURNAL
        begun = bool(self.names)
        if not begun:  # what a killed save had begun of its first line
            files.remove(path)
        head = [] if begun else [_HEAD]
        text = "".join(f"\n{line}" for line in (*head, *new))
        files.append(path, f"{text}\n".encode())
        if not begun:
            files.sync_folder(self._folder)
        self.names.update(new)

    def sweep(self, keep: Collection[str]) -> None:
        """Remove the files that are named and not kept; what cannot be is left for the next time.

        Args:
            keep: Paths of files below the folder that stay.
        """
        if not self.names and not is_journal(self._folder):
            return
        with suppress(OSError):
            for name in self.names:
                path = self._folder / name
                files.remove(path.with_name(path.name + TEMPORARY))
                if name not in keep:
                    files.remove(path)
            self._remove_empty(keep)
            files.remove(self._folder / JOURNAL)
            self.names = set()

    def _remove_empty(self, keep: Collection[str]) -> None:
        """Remove folders of banks that are empty now, the innermost first."""
        places = {parent for name in self.names - {*keep} for parent in _parents(name)}
        for place in sorted(places, key=len, reverse=True):
            folder = self._folder / place
            if folder.is_dir() and not any(folder.iterdir()):
                files.remove_folder(folder)


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    if parts[0] == "segments":
        return []
    return ["/".join(parts[: size + 1]) for size in range(len(parts))]


def is_journal(folder: Path) -> bool:
    """Whether a folder has a journal of ours, be it the beginning of one."""
    text = _text(folder)
    return text is not None and (text.startswith(_START) or _START.startswith(text))


def read_journal(folder: Path) -> set[str]:
    """Return the names in a folder's journal; none where there is no journal of ours.

    A name that was cut off is no name of a file: that file was not made.
    """
    text = _text(folder) or ""
    lines = text.split("\n")[2:] if text.startswith(_START) else []
    return {line for line in lines if _OURS.fullmatch(line)}


def _text(folder: Path) -> str | None:
    try:
        return (folder / JOURNAL).read_bytes().decode("ascii")
    except (OSError, ValueError):
        return None
