"""Which files are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from s3_retriever.files.ignore import patterns
from s3_retriever.files.kinds import is_known

if TYPE_CHECKING:
    from pathlib import PurePath

    from pathspec import GitIgnoreSpec


@dataclass(frozen=True)
class Selection:
    """Which files of a folder are read, and how.

    Attributes:
        include: Patterns as in .gitignore, such as ``"*.md"`` or ``"docs/**"``: only files that one
            matches are read, those of kinds that are not known as plain text. Empty for all files
            of known kinds.
        exclude: Patterns of files and folders that are left out.
        ignore_files: Whether .gitignore files are honoured.
        encoding: Of text files; None to find out for each.

    Raises:
        InputError: a wrong pattern, when it is first used.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore_files: bool = True
    encoding: str | None = None

    def includes(self, place: PurePath) -> bool:
        """Whether a file is of a kind to be read.

        Args:
            place: Its path from the folder that was given.
        """
        if not self.include:
            return is_known(place.name)
        return self._included.match_file(place)

    def excludes(self, place: PurePath, is_folder: bool = False) -> bool:
        """Whether a file or a folder is left out by a pattern."""
        return self._excluded.match_file(place.as_posix() + "/" * is_folder)

    @cached_property
    def _included(self) -> GitIgnoreSpec:
        return patterns(self.include, "--include")

    @cached_property
    def _excluded(self) -> GitIgnoreSpec:
        return patterns(self.exclude, "--exclude")
