"""Pieces of an index that others wrote beside its documents, and the commit that names them.

A piece is a folder ``parts/<uid>/`` below the index. ``names.json`` says which files the writer is
about to put among the index's own; ``catalogue.sqlite``, a catalogue as an index has it, comes last
and says that they are all there. A piece without it was not finished: its files are removed when
the others are taken in. Until then the index is what it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever.errors import IndexFileError
from s3_retriever.storage.catalogue import (
    ATTACHED,
    CATALOGUE,
    Contents,
    open_catalogue,
    read_contents,
)
from s3_retriever.storage.commit import commit, with_attached
from s3_retriever.storage.target import holding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from s3_retriever.storage.catalogue import Entry, Version
    from s3_retriever.storage.segments import Segment, Table

PARTS = "parts"
"""Where the pieces lie, below the index."""

NAMES = "names.json"
WRITTEN = "written"
"""In the header of a piece: when it was written, in seconds."""


class Piece(NamedTuple):
    """A piece that is whole.

    Attributes:
        folder: Where its catalogue lies.
        contents: What that says.
    """

    folder: Path
    contents: Contents


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an index shall hold when pieces have been taken in.

    Attributes:
        texts: The digest of the text of each document that was asked for, by id, in order; others
            stay as they are, and those of pieces come in as they were written last.
        gone: Ids of documents that are deleted.
        metadata: Other metadata, by id, as JSON.
    """

    texts: Mapping[str, str]
    gone: Collection[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_pieces(folder: Path) -> list[Piece]:
    """The pieces of an index that are whole, in the order in which they were written.

    Args:
        folder: Where they lie; it may be missing.

    Raises:
        IndexFileError: one is damaged.
        FormatVersionError: a newer release wrote one.
    """
    found = []
    for place in sorted(folder.glob(f"*/{CATALOGUE}")):
        with open_catalogue(place.parent) as connection:
            found.append(Piece(place.parent, read_contents(connection)))
    return sorted(found, key=lambda piece: piece.contents.header.get(WRITTEN, 0.0))


def noted_files(notes: Iterable[bytes]) -> set[str]:
    """The files that writers of pieces meant to put among those of the index.

    Args:
        notes: Contents of `NAMES`; one that was cut off names nothing, for it is written before
            the files are.
    """
    names: set[str] = set()
    for note in notes:
        try:
            names |= {str(name) for name in json.loads(note)}
        except (ValueError, TypeError):
            continue
    return names


def taken_in(
    old: Contents, pieces: Sequence[Piece], wanted: Wanted, header: Mapping[str, Any]
) -> Contents:
    """What an index holds when pieces have been taken in.

    Args:
        old: What it holds now.
        pieces: In the order in which they were written.
        wanted: Which of their documents.
        header: What the index shall say of itself.

    Returns:
        The documents that stay, then those of the pieces: the pieces in the order of the first
        document of each that was asked for.
    """
    chosen = _chosen(pieces, wanted)
    position = {id: place for place, id in enumerate(wanted.texts)}
    runs: dict[int, list[Entry]] = {}
    for number, entry in chosen.values():
        runs.setdefault(number, []).append(entry)
    last = len(position)
    order = sorted(runs, key=lambda n: min(position.get(entry.id, last) for entry in runs[n]))
    stay = [e for e in old.entries if e.id not in chosen and e.id not in wanted.gone]
    entries = tuple(
        _told(entry, wanted.metadata)
        for entry in [*stay, *(entry for number in order for entry in runs[number])]
    )
    segments, tables = dict(old.segments), dict(old.tables)
    for piece in pieces:
        segments |= piece.contents.segments
        tables |= piece.contents.tables
    used = dict.fromkeys(entry.segment for entry in entries)
    return Contents(
        with_attached(header, dict.fromkeys(old.header.get(ATTACHED, ()), b"")),
        {name: segments[name] for name in used},
        {name: tables[name] for name in used if name in tables},
        entries,
    )


def _chosen(pieces: Sequence[Piece], wanted: Wanted) -> dict[str, tuple[int, Entry]]:
    """Of each document of the pieces the one to be taken, with the number of its piece."""
    chosen: dict[str, tuple[int, Entry]] = {}
    for number, piece in enumerate(pieces):
        for entry in piece.contents.entries:
            if entry.id in wanted.gone or wanted.texts.get(entry.id, entry.text) != entry.text:
                continue
            if entry.id not in chosen or chosen[entry.id][1].text != entry.text:
                chosen[entry.id] = number, entry
    return chosen


def _told(entry: Entry, metadata: Mapping[str, str]) -> Entry:
    return entry._replace(metadata=metadata[entry.id]) if entry.id in metadata else entry


def take_in_pieces(
    folder: Path, old: Version, contents: Contents, pieces: Sequence[Piece]
) -> Version:
    """Make an index hold what `taken_in` says, in one step.

    Args:
        folder: The index, or a folder with its catalogue alone.
        old: What it holds.
        contents: What it shall hold; the files are there.
        pieces: With the texts.

    Raises:
        IndexFileError: it could not be written; the folder holds what it held.
    """
    used = {entry.text for entry in contents.entries}
    with holding(folder):
        return commit(folder, old.contents, {}, lambda _: (contents, _texts(pieces, used)))


def _texts(pieces: Sequence[Piece], used: Collection[str]) -> Iterator[tuple[str, str]]:
    for piece in pieces:
        with open_catalogue(piece.folder) as connection:
            for digest, text in connection.execute("SELECT digest, text FROM texts"):
                if digest in used:
                    yield digest, text.decode()


def check_files(where: str, contents: Contents, sizes: Mapping[str, int]) -> None:
    """Make sure that the files of segments and tables are where they should be.

    Args:
        where: The index, as a person calls it.
        contents: What the catalogue says.
        sizes: Bytes of the files that are there, by path below the index.

    Raises:
        IndexFileError: one is missing or cut off.
    """
    files: list[Segment | Table] = [*contents.segments.values(), *contents.tables.values()]
    for file in files:
        size = sizes.get(file.file)
        if size != file.size:
            what = "is not there" if size is None else f"has {size} of {file.size} bytes"
            raise IndexFileError(
                f"{file.file} {what} in {where}, though a worker wrote it: the output must be a "
                "folder that all machines share under this path, or the URL of an object store; "
                "nothing was changed"
            )
