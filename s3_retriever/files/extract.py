"""What comes out of a file: its text, and where in it pages, slides, sheets and sections begin."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import PLACES
from s3_retriever.errors import InputError
from s3_retriever.files.encodings import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

Places = Mapping[str, Sequence[tuple[int, Any]]]
"""For each kind of place, such as ``"page"``, in order: the character where one begins, and its
number or name, None where one ends and no other begins."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The text of a file.

    Attributes:
        text: What is indexed; all offsets are into it.
        places: Where parts of the file begin in it.
        title: Of the document, where the file names one.
        assumed: The encoding, where it was guessed.
        note: What is missing, such as pages without text.
    """

    text: str
    places: Places = field(default_factory=dict)
    title: str = ""
    assumed: str = ""
    note: str = ""

    def remarks(self, name: str) -> Iterator[str]:
        """What was assumed of a file, and what of it is missing, a line each."""
        if self.assumed:
            yield f"{name} was read as {self.assumed}, as it looks; if it is not: --encoding NAME"
        if self.note:
            yield f"{name}: {self.note}"

    def metadata(self) -> dict[str, Any]:
        """What a document is told of it."""
        places = {kind: list(starts) for kind, starts in self.places.items()}
        return {
            **({"title": self.title} if self.title else {}),
            **({PLACES: places} if places else {}),
        }


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as it was found.

    Attributes:
        data: Its bytes.
        given: The path as it was given, for messages; ``-`` for standard input.
        encoding: In which a text file is, where that was said; None to find out.
    """

    data: bytes
    given: str
    encoding: str | None = None

    def decoded(self) -> tuple[str, str]:
        """The bytes as text, and the encoding if it was guessed: see `encodings.decode`."""
        return decode(self.data, self.encoding)

    @property
    def quoted(self) -> str:
        """The path as it is typed in a shell."""
        return shlex.quote(self.given)


class Builder:
    """Puts a text together from parts that are parted by blank lines, and notes where they begin.

    Attributes:
        places: As in `Extract`.
    """

    def __init__(self) -> None:
        self.places: dict[str, list[tuple[int, Any]]] = {}
        self._pieces: list[str] = []
        self._length = 0

    def add(self, text: str, /, **place: Any) -> None:
        """Add a part.

        Args:
            text: White space at its end is left out; a part without text is none.
            **place: Number or name by kind, such as ``page=3``.
        """
        text = text.strip("\n").rstrip()
        if not text:
            return
        if self._pieces:
            self._put("\n\n")
        for kind, value in place.items():
            self.places.setdefault(kind, []).append((self._length, value))
        self._put(text)

    def _put(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)


def needed(module: str, kind: str) -> ModuleType:
    """Import what reads a kind of file.

    Args:
        module: Its name.
        kind: What the file is, such as ``"a PDF"``.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"is {kind}; to read it, type: pip install 's3-retriever[files]'"
        ) from error
