"""The catalogue: one SQLite file that says what an index holds, and the point of commit.

A new catalogue is written under a temporary name and renamed when it is whole; an existing one
is changed in a single transaction. Either way an index is the old one until that step and the
new one after it.

Tables: ``header`` (name, JSON value), ``segments`` (files and their checksums), ``tables`` (files
of what was made of a segment's documents, likewise), ``texts`` (UTF-8 by SHA-256, so equal texts
are kept once), ``documents`` (in order, each with its text, metadata and rows) and ``seal`` (a
checksum of all but the texts, which carry their own). Rows of a segment that no document names are
of deleted documents. Version 1 had no ``tables``; it is read, and the next save brings it up to
date.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from s3_retriever.errors import FormatVersionError, IndexFileError
from s3_retriever.storage import files
from s3_retriever.storage.failures import damaged, reading, saving
from s3_retriever.storage.segments import Segment, Table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FORMAT_VERSION = 2
"""Version of the folder's format; a newer one is refused."""

CATALOGUE = "catalogue.sqlite"
SYNCHRONOUS = "EXTRA"
"""FULL, and the journal's removal reaches the disk too before the commit returns: segments that
only the old catalogue names are removed right after it."""

_TEMPORARY = "catalogue.sqlite.tmp"
LEFTOVERS = (_TEMPORARY, f"{_TEMPORARY}-journal", f"{CATALOGUE}-journal")
"""Names of files that a killed save may leave where there was no catalogue."""

ATTACHED = "attached"
"""In a header: paths of the files beside the catalogue that belong to the index."""

_APPLICATION = 0x53335249
_CREATE = {
    "header": "CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "segments": "CREATE TABLE segments (name TEXT PRIMARY KEY, rows INTEGER NOT NULL,"
    " size INTEGER NOT NULL, sha256 TEXT NOT NULL)",
    "tables": "CREATE TABLE tables (segment TEXT PRIMARY KEY REFERENCES segments (name),"
    " name TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, made TEXT NOT NULL)",
    "texts": "CREATE TABLE texts (digest TEXT PRIMARY KEY, text BLOB NOT NULL)",
    "documents": "CREATE TABLE documents (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " text TEXT NOT NULL REFERENCES texts (digest), characters INTEGER NOT NULL,"
    " metadata TEXT NOT NULL, arrays TEXT NOT NULL,"
    " segment TEXT NOT NULL REFERENCES segments (name), first_row INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, number INTEGER NOT NULL)",
    "seal": "CREATE TABLE seal (sha256 TEXT NOT NULL)",
}
_SEALED = ("header", "segments", "tables", "documents")
_ENTRY = "id, text, characters, metadata, arrays, segment, first_row, rows"
_INSERT = {
    "header": "INSERT INTO header VALUES (?, ?)",
    "segments": "INSERT INTO segments VALUES (?, ?, ?, ?)",
    "tables": "INSERT INTO tables VALUES (?, ?, ?, ?, ?)",
    "texts": "INSERT OR IGNORE INTO texts VALUES (?, ?)",
    "documents": f"INSERT INTO documents ({_ENTRY}, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
}


class Entry(NamedTuple):
    """One document, as the catalogue knows it.

    Attributes:
        id: The document's id.
        text: SHA-256 of its text in UTF-8.
        characters: Length of its text.
        metadata: Its metadata, as JSON.
        arrays: Digest of its arrays.
        segment: Name of the segment that holds them.
        first_row: Where they start in the segment.
        rows: Their length.
        number: Which of the segment's documents it is, in tables.
    """

    id: str
    text: str
    characters: int
    metadata: str
    arrays: str
    segment: str
    first_row: int
    rows: int
    number: int


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything a catalogue holds but the texts.

    Attributes:
        header: Values by name.
        segments: By name.
        tables: By the name of the segment.
        entries: Of the documents, in order.
    """

    header: Mapping[str, Any]
    segments: Mapping[str, Segment]
    tables: Mapping[str, Table]
    entries: tuple[Entry, ...]

    @property
    def files(self) -> set[str]:
        """Paths below the folder of all files that belong to the index, the catalogue apart."""
        segments = {segment.file for segment in self.segments.values()}
        tables = {table.file for table in self.tables.values()}
        return segments | tables | {*self.header.get(ATTACHED, ())}

    def by_segment(self) -> dict[str, list[Entry]]:
        """The documents of each segment, in its order; segments in the order of the documents."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.segment, []).append(entry)
        for own in found.values():
            own.sort(key=lambda entry: (entry.first_row, entry.number))
        return found


@dataclass(frozen=True, slots=True)
class Version:
    """One state of an index.

    Attributes:
        seal: The catalogue's checksum; another state has another.
        contents: What it holds, texts and arrays apart.
    """

    seal: str
    contents: Contents


@contextmanager
def open_catalogue(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a catalogue for reading; while it is open, nothing it names is removed.

    Raises:
        IndexFileError: there is no index, or what there is cannot be read; raised too for
            whatever the block finds wrong with the contents.
        FormatVersionError: a newer release wrote it.
    """
    with reading(folder):
        _check_place(folder)
        with closing(files.connect(folder / CATALOGUE, "rw")) as connection:
            connection.execute("BEGIN")
            _check_format(folder, connection)
            yield connection


def _check_place(folder: Path) -> None:
    if not folder.exists():
        raise IndexFileError(f"there is no folder {folder}; check the path, or save an index first")
    if not folder.is_dir():
        raise IndexFileError(f"{folder} is a file, not an index; give the folder that was saved to")
    if not (folder / CATALOGUE).is_file():
        raise IndexFileError(
            f"{folder} is not an index: it has no {CATALOGUE}; check the path, or save an index "
            "there first"
        )


def _check_format(folder: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION:
        raise IndexFileError(
            f"{folder} is not an index: its {CATALOGUE} was not written by s3-retriever; "
            "use another folder"
        )
    version = format_of(connection)
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            f"the index {folder} has format version {version}, newer than {FORMAT_VERSION}, the "
            "newest this release reads; run: pip install --upgrade s3-retriever"
        )


def format_of(connection: sqlite3.Connection) -> int:
    """The version of a catalogue's format."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Read all but the texts."""
    numbered = format_of(connection) > 1
    header = connection.execute("SELECT name, value FROM header ORDER BY rowid")
    segments = connection.execute("SELECT name, rows, size, sha256 FROM segments")
    tables = connection.execute("SELECT * FROM tables") if numbered else ()
    columns = f"{_ENTRY}, {'number' if numbered else '0'}"
    entries = connection.execute(f"SELECT {columns} FROM documents ORDER BY position")
    return Contents(
        header={name: json.loads(value) for name, value in header},
        segments={row[0]: Segment(*row) for row in segments},
        tables={row[0]: Table(*row) for row in tables},
        entries=tuple(Entry(*row) for row in entries),
    )


def read_texts(connection: sqlite3.Connection) -> dict[str, str]:
    """Read all texts, by digest."""
    rows = connection.execute("SELECT digest, text FROM texts")
    return {digest: text.decode() for digest, text in rows}


def stored_text(folder: Path, digest: str) -> str:
    """Read one text of a folder's catalogue.

    Raises:
        IndexFileError: it is not there.
    """
    with open_catalogue(folder) as connection:
        query = "SELECT text FROM texts WHERE digest = ?"
        row = connection.execute(query, (digest,)).fetchone()
        if row is None:
            raise damaged(folder, f"the text {digest} is missing")
        text: str = row[0].decode()
        return text


def read_version(connection: sqlite3.Connection) -> Version:
    """Read all but the texts, with the seal."""
    (seal,) = connection.execute("SELECT sha256 FROM seal").fetchone() or ("",)
    return Version(seal, read_contents(connection))


def check_format_of(folder: Path) -> None:
    """Make sure that the catalogue of a folder is ours and can be read by this release.

    Raises:
        IndexFileError: it is not, or it cannot be read at all.
        FormatVersionError: a newer release wrote it.
    """
    with open_catalogue(folder):
        pass


def stored_version(folder: Path) -> Version | None:
    """Return what an index holds, or ``None`` where there is no catalogue yet.

    Raises:
        IndexFileError: there is one that cannot be read.
    """
    if not (folder / CATALOGUE).exists():
        return None
    with open_catalogue(folder) as connection:
        return read_version(connection)


class Draft:
    """The next state of a catalogue: written, then committed in one step.

    Closing it without `commit` leaves the folder's catalogue, or its absence, as it was. The
    caller holds the lock of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new = not (folder / CATALOGUE).exists()
        self._path = folder / (_TEMPORARY if self._new else CATALOGUE)
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._new and kind is not None:
            with suppress(OSError):
                _remove_temporary(self._folder)

    def write(self, contents: Contents, new_texts: Iterable[tuple[str, str]]) -> Version:
        """Write everything, not yet for others to see.

        Args:
            contents: What the catalogue shall hold.
            new_texts: Those of its texts that it may not hold yet, each behind its digest.

        Returns:
            The state that `commit` makes the folder's.

        Raises:
            IndexFileError: it could not be written.
        """
        with saving(self._folder):
            connection = self._begin()
            for table in (*_SEALED, "seal"):
                files.execute(connection, f"DELETE FROM {table}")
            for table, rows in _rows(contents, new_texts).items():
                files.execute_many(connection, _INSERT[table], rows)
            gone = "DELETE FROM texts WHERE digest NOT IN (SELECT text FROM documents)"
            files.execute(connection, gone)
            seal = checksum(connection)
            files.execute(connection, "INSERT INTO seal VALUES (?)", (seal,))
        return Version(seal, contents)

    def _begin(self) -> sqlite3.Connection:
        if self._new:
            _remove_temporary(self._folder)
            files.remove(self._folder / f"{CATALOGUE}-journal")
            files.sync_folder(self._folder)
        connection = files.connect(self._path, "rwc" if self._new else "rw")
        self._connection = connection
        settings = [f"synchronous = {SYNCHRONOUS}", "journal_mode = DELETE", "secure_delete = ON"]
        if self._new:
            settings.append("auto_vacuum = FULL")
        for setting in settings:
            files.execute(connection, f"PRAGMA {setting}")
        files.execute(connection, "BEGIN IMMEDIATE")
        if self._new:
            files.execute(connection, f"PRAGMA application_id = {_APPLICATION}")
            for statement in _CREATE.values():
                files.execute(connection, statement)
        elif format_of(connection) == 1:  # all rows are written anew in any case
            files.execute(connection, "DROP TABLE documents")
            for table in ("tables", "documents"):
                files.execute(connection, _CREATE[table])
        files.execute(connection, f"PRAGMA user_version = {FORMAT_VERSION}")
        return connection

    def commit(self) -> None:
        """Make what was written the folder's catalogue.

        Raises:
            IndexFileError: it could not be; the folder holds the old state or the new one, whole.
        """
        with saving(self._folder):
            if self._connection is not None:
                files.execute(self._connection, "COMMIT")
                self._connection.close()
            if self._new:
                files.replace(self._path, self._folder / CATALOGUE)
                files.sync_folder(self._folder)


def _remove_temporary(folder: Path) -> None:
    """Remove an unfinished catalogue and its journal, which would spoil the next one."""
    files.remove(folder / _TEMPORARY)
    files.remove(folder / f"{_TEMPORARY}-journal")


def _rows(
    contents: Contents, new_texts: Iterable[tuple[str, str]]
) -> dict[str, Iterable[tuple[Any, ...]]]:
    header = contents.header.items()
    return {
        "header": [(name, json.dumps(value, ensure_ascii=False)) for name, value in header],
        "segments": contents.segments.values(),
        "tables": contents.tables.values(),
        "texts": ((digest, text.encode()) for digest, text in new_texts),
        "documents": contents.entries,
    }


def checksum(connection: sqlite3.Connection) -> str:
    """Return a digest of all rows but the texts'."""
    digest = hashlib.sha256()
    numbered = format_of(connection) > 1
    for table in (name for name in _SEALED if numbered or name != "tables"):
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid"):
            digest.update(repr(row).encode())
    return digest.hexdigest()
