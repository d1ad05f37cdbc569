"""An index folder as the first release wrote it: a catalogue without tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from s3_retriever.storage.catalogue import checksum, read_contents

if TYPE_CHECKING:
    from pathlib import Path

_DOCUMENTS = (
    "CREATE TABLE old (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL"
    " REFERENCES texts (digest), characters INTEGER NOT NULL, metadata TEXT NOT NULL,"
    " arrays TEXT NOT NULL, segment TEXT NOT NULL REFERENCES segments (name),"
    " first_row INTEGER NOT NULL, rows INTEGER NOT NULL)"
)
_COLUMNS = "position, id, text, characters, metadata, arrays, segment, first_row, rows"


def as_first_release(folder: Path) -> None:
    """Make a saved index one of format 1, in place."""
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection, connection:
        for table in read_contents(connection).tables.values():
            table.path(folder).unlink()
        connection.execute(_DOCUMENTS)
        connection.execute(f"INSERT INTO old SELECT {_COLUMNS} FROM documents")
        for statement in (
            "DROP TABLE documents",
            "ALTER TABLE old RENAME TO documents",
            "DROP TABLE tables",
            "PRAGMA user_version = 1",
            "DELETE FROM seal",
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO seal VALUES (?)", (checksum(connection),))
