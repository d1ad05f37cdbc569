"""What was read of some files, and what was not and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.files.kinds import reason
from s3_retriever.files.paths import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.files.extract import Extract

_NAMED = 10


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that was read.

    Attributes:
        path: Of the file: the resolved path of its folder and its place below that.
        place: Its place below the folder that was given, with ``/``; of a file that was given
            itself, its name.
        extract: Its text, as it stands in a text file, line ends included, a byte order mark left
            out.
    """

    path: Path
    place: str
    extract: Extract

    @property
    def text(self) -> str:
        """Its text."""
        return self.extract.text


class ListedFile(NamedTuple):
    """A file that is to be read.

    Attributes:
        path: As in `FoundFile`.
        place: Likewise.
        given: The path as it was given, for messages.
    """

    path: Path
    place: str
    given: str


@dataclass(slots=True)
class Reading:
    """What was read, and what was not.

    Attributes:
        files: With text, in the order of their paths, where they were read together.
        failed: Of each file or folder that could not be read its name and what to do.
        empty: Files without text.
        others: Names of files of kinds that are not read, hidden ones apart.
        ignored: Names of files and folders left out by .gitignore or on request, the latter with
            ``/`` at the end.
    """

    files: list[FoundFile] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    _remarks: list[str] = field(default_factory=list)
    _assumed: dict[str, str] = field(default_factory=dict)

    def note(self, file: FoundFile) -> None:
        """Keep what is to be said of a file that was read, and not its text."""
        self._remarks += file.extract.remarks(file.place)
        if file.extract.assumed:
            self._assumed[str(file.path)] = file.extract.assumed

    def problems(self) -> str:
        """All that could not be read, a line each."""
        return "\n".join(f"{name} {reason}" for name, reason in self.failed)

    def remarks(self) -> Iterator[str]:
        """What was assumed of files that were read, and what of them is missing, a line each."""
        yield from self._remarks

    def assumed(self) -> dict[str, str]:
        """The encodings that were guessed, by the path of the file."""
        return dict(self._assumed)

    def other_kinds(self) -> str:
        """How many files of which kinds were not read, some of their names, and why."""
        kinds = Counter(map(_kind, self.others))
        return "; ".join(
            f"{number:,} of kind {kind}{_why(kind)}: "
            f"{_some([name for name in self.others if _kind(name) == kind])}"
            for kind, number in kinds.most_common()
        )

    def left_out(self) -> str:
        """How many files and folders were left out by patterns, and some of their names."""
        return f"{len(self.ignored):,}: {_some(self.ignored)}" if self.ignored else ""


def _why(kind: str) -> str:
    why = reason(kind)
    return f" ({why})" if why else ""


def _kind(name: str) -> str:
    return Path(name).suffix.lower() or "no suffix"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more
