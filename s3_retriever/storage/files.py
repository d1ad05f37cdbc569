"""The file and database operations that saving is made of, each a function.

Everything in this package that changes a disk goes through ``files.<name>``, so that a test can
make each call fail in turn and look at what is left.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BUSY_SECONDS = 30.0
"""How long a database call waits for a reader or a commit in another process."""


def make_folder(path: Path) -> None:
    """Create a folder and its parents where they are missing."""
    path.mkdir(parents=True, exist_ok=True)


def create(path: Path) -> BinaryIO:
    """Open a new file for writing."""
    return path.open("xb")


def write(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`."""
    file.write(data)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, created if missing, and bring it to the disk."""
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(file: BinaryIO) -> None:
    """Bring the file's bytes to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the folder's names to the disk; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(source: Path, target: Path) -> None:
    """Rename in one step, over what may be there."""
    source.replace(target)


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder that is empty."""
    path.rmdir()


def lock(path: Path) -> BinaryIO:
    """Lock a file, created if missing, until the returned file is closed or the process ends.

    Raises:
        BlockingIOError: someone else holds the lock.
    """
    file = path.open("ab")
    try:
        _lock(file)
    except BaseException:
        file.close()
        raise
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(str(error)) from error
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a database; `mode` is ``"rw"`` for one that exists, ``"rwc"`` to create it.

    ``"rw"`` reads only where the file system allows no more, and otherwise lets SQLite undo what
    a killed process had begun.
    """
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def execute(
    connection: sqlite3.Connection, statement: str, values: Sequence[Any] = ()
) -> sqlite3.Cursor:
    """Run one statement."""
    return connection.execute(statement, values)


def execute_many(
    connection: sqlite3.Connection, statement: str, rows: Iterable[Sequence[Any]]
) -> None:
    """Run one statement for every row."""
    connection.executemany(statement, rows)
