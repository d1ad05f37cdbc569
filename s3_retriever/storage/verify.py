"""Look at every byte of an index."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.errors import IndexFileError
from s3_retriever.storage.catalogue import checksum, read_texts
from s3_retriever.storage.segments import array_digest, file_digest, missing_or_cut, open_segment

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from s3_retriever.storage.catalogue import Contents, Entry
    from s3_retriever.storage.segments import Segment, Table


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was read, and what is wrong with it.

    Attributes:
        documents: Number of documents checked.
        segments: Number of segments checked.
        bytes: Size of the segments.
        problems: One line each; empty for a whole index.
    """

    documents: int
    segments: int
    bytes: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def problems(folder: Path, connection: sqlite3.Connection, contents: Contents) -> Iterator[str]:
    """Yield what is wrong with an index, a line for each finding."""
    yield from _catalogue_problems(connection)
    texts = read_texts(connection)
    entries: dict[str, list[Entry]] = defaultdict(list)
    for entry in contents.entries:
        entries[entry.segment].append(entry)
        if entry.text not in texts:
            yield f"document {entry.id!r}: its text is missing"
        elif len(texts[entry.text]) != entry.characters:
            yield f"document {entry.id!r}: its text is not {entry.characters} characters long"
    for name in entries.keys() - contents.segments.keys():
        yield f"segment {name} is not in the catalogue"
    for name, segment in contents.segments.items():
        yield from _segment_problems(folder, segment, entries[name])
    for table in contents.tables.values():
        yield from _table_problems(folder, table, entries[table.segment])


def _catalogue_problems(connection: sqlite3.Connection) -> Iterator[str]:
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield f"catalogue: {message}"
    if connection.execute("SELECT sha256 FROM seal").fetchall() != [(checksum(connection),)]:
        yield "catalogue: its rows are not those that were written"
    for digest, text in connection.execute("SELECT digest, text FROM texts"):
        if hashlib.sha256(text).hexdigest() != digest:
            yield f"catalogue: the text {digest} is not what was written"


def _file_problem(folder: Path, own: Segment | Table) -> str | None:
    wrong = missing_or_cut(folder, own)
    if wrong is None and file_digest(own.path(folder)) != own.sha256:
        wrong = f"{own.file} does not have the checksum it was written with"
    return wrong


def _table_problems(folder: Path, table: Table, entries: Sequence[Entry]) -> Iterator[str]:
    wrong = _file_problem(folder, table)
    if wrong:
        yield wrong
    numbers = [entry.number for entry in entries]
    if len({*numbers}) < len(numbers) or min(numbers, default=0) < 0:
        yield f"the tables of segment {table.segment} do not tell its documents apart"


def _segment_problems(folder: Path, segment: Segment, entries: Sequence[Entry]) -> Iterator[str]:
    wrong = _file_problem(folder, segment)
    if wrong:
        yield wrong
        return
    try:
        arrays = open_segment(folder, segment)
    except IndexFileError as error:
        yield str(error)
        return
    for entry in entries:
        yield from _document_problems(entry, segment, arrays)


def _document_problems(
    entry: Entry, segment: Segment, arrays: Mapping[str, NDArray[np.generic]]
) -> Iterator[str]:
    where = f"document {entry.id!r}"
    last_row = entry.first_row + entry.rows
    if not 0 <= entry.first_row <= last_row <= segment.rows:
        yield (
            f"{where}: rows {entry.first_row} to {last_row} are not in segment {segment.name}, "
            f"which has {segment.rows}"
        )
        return
    own = {name: array[entry.first_row : last_row] for name, array in arrays.items()}
    if array_digest(own) != entry.arrays:
        yield f"{where}: its arrays are not what was written"
    if "starts" in own and "ends" in own:
        yield from _offset_problems(where, own["starts"], own["ends"], entry.characters)


def _offset_problems(
    where: str, starts: NDArray[np.generic], ends: NDArray[np.generic], characters: int
) -> Iterator[str]:
    first, last = starts.astype(np.int64), ends.astype(np.int64)
    if np.any(first > last):
        yield f"{where}: a token ends before it starts"
    if np.any(np.diff(first) < 0) or np.any(np.diff(last) < 0):
        yield f"{where}: its tokens are not in the order of the text"
    if len(first) and (first[0] < 0 or last[-1] > characters):
        yield f"{where}: its tokens reach outside the text's {characters} characters"
