"""The texts that a command is given, and which documents of an index they are.

A document that was read from a file is known by the resolved path of the file: of the folder that
was given, and its place below that. It is kept in the metadata, as ``path``. The id is for people:
the place below the folder or, where that is taken, as much of the path as tells it apart.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.text.files import (
    SUFFIXES,
    Reading,
    below,
    is_folder,
    is_gone,
    read_file,
    read_folder,
    tails,
)
from s3_retriever.text.formats import decoded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

STDIN = "stdin"
_FROM = {"source": "standard input"}


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read.

    Attributes:
        reading: Of files.
        named: Text of standard input by the name it was given, if there was any.
    """

    reading: Reading
    named: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.reading.files or self.named)


def read_sources(paths: Iterable[str], name: str | None = None, strict: bool = False) -> Sources:
    """Read text files, the text files of folders, and ``-`` for standard input.

    Args:
        paths: As given.
        name: Of standard input.
        strict: Whether a file of a folder that cannot be read is an error, as one that was given
            itself always is.

    Raises:
        InputError: such files, all of them named; a path that does not exist; a name without
            standard input.
    """
    reading, wanted = Reading(), Reading()
    named: dict[str, str] = {}
    for path in paths:
        place = Path(path)
        if path == "-":
            named[name or STDIN] = _standard_input(wanted)
        elif is_folder(place):
            read_folder(place, reading)
        else:
            read_file(place, wanted)
    if name is not None and not named:
        raise InputError("--name names standard input, which is given by the path -")
    refused = [*wanted.failed, *((str(path), "holds no text") for path in wanted.empty)]
    if strict:
        refused += reading.failed
    if refused:
        raise InputError("; ".join(f"{file} {reason}" for file, reason in refused))
    reading.files += wanted.files
    return Sources(reading, {key: text for key, text in named.items() if text})


def _standard_input(wanted: Reading) -> str:
    try:
        text = decoded(sys.stdin.buffer.read(), "-")
    except InputError as error:
        wanted.failed.append(("standard input", str(error)))
        return ""
    if not text.strip():
        wanted.failed.append(("standard input", "holds no text"))
    return text


def documents_of(sources: Sources, old: Mapping[str, Document] | None = None) -> list[Document]:
    """Make documents of what was read, each with the id that it has or is to have in an index.

    Args:
        sources: What was read.
        old: The documents of the index, by id.

    Raises:
        InputError: standard input has a name that another document has.
    """
    old = old or {}
    known = {path: document.id for document in old.values() if (path := path_of(document))}
    taken = set(old)
    made: dict[str, Document] = {}
    for file in sources.reading.files:
        path = str(file.path)
        if path not in known:
            known[path] = next(id for id in tails(file.path, file.place) if id not in taken)
            taken.add(known[path])
        made[known[path]] = Document(known[path], file.text, {"path": path})
    for name, text in sources.named.items():
        other = made.get(name) or old.get(name)
        if other is not None and dict(other.metadata) != _FROM:
            raise InputError(f"--name {name} is the name of another document; choose another")
        made[name] = Document(name, text, _FROM)
    return list(made.values())


def path_of(document: Document) -> str | None:
    """The file that a document was read from, if it was by this program."""
    path: Any = document.metadata.get("path")
    if not isinstance(path, str) or not Path(path).is_absolute():
        return None
    return path if path.endswith(document.id) else None


def gone_below(root: Path, documents: Iterable[Document], empty: Collection[Path]) -> list[str]:
    """Ids of documents whose files are not in a folder any more, or have no text any more.

    Args:
        root: The folder, resolved; it need not exist.
        documents: Of the index.
        empty: Files without text.
    """
    emptied = {str(path) for path in empty}
    return [
        document.id
        for document in documents
        if (path := path_of(document)) and below(path, root) and (path in emptied or is_gone(path))
    ]


def read_documents(paths: Sequence[str]) -> list[Document]:
    """Read texts that need no place in an index, and say what was left out.

    Raises:
        InputError: as `read_sources`; also nothing to read.
    """
    sources = read_sources(paths)
    say_what_is_missing(sources.reading)
    if others := sources.reading.other_kinds():
        print(f"s3-retriever: not read: {others}", file=sys.stderr)
    if not sources:
        raise InputError(f"{', '.join(paths)}: no text there ({', '.join(SUFFIXES)})")
    return documents_of(sources)


def say_what_is_missing(reading: Reading) -> None:
    """Name on standard error what should have been read and was not."""
    if reading.failed:
        lines = "".join(f"\n  {line}" for line in reading.problems().split("\n"))
        print(f"s3-retriever: left out, for it cannot be read:{lines}", file=sys.stderr)
    if reading.empty:
        names = ", ".join(str(path) for path in reading.empty)
        print(f"s3-retriever: left out as empty: {names}", file=sys.stderr)
