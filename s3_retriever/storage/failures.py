"""From errors of the operating system and of SQLite to errors that say what to do next."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import IndexFileError, InputError, S3Error

if TYPE_CHECKING:
    from collections.abc import Iterator

REBUILD = "restore the folder from a copy, or delete it and build the index again"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


def folder_of(path: str | PathLike[str]) -> Path:
    """Return the path of an index.

    Raises:
        InputError: it is no path.
    """
    if not isinstance(path, str | PathLike):
        kind = type(path).__name__
        raise InputError(f"an index is a folder, given by its path as a str or Path, not {kind}")
    return Path(path)


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Turn what can go wrong while writing into `IndexFileError`."""
    try:
        yield
    except S3Error:
        raise
    except (OSError, sqlite3.Error) as error:
        raise IndexFileError(
            f"cannot save the index {folder}: {_saving_advice(error)} [{error}]; "
            "what was saved there before is untouched"
        ) from error


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what can go wrong while reading, damaged contents included, into `IndexFileError`."""
    try:
        yield
    except IndexFileError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise IndexFileError(
            f"cannot read the index {folder}: {_reading_advice(error)} [{error}]"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(folder, str(error)) from error


def damaged(folder: Path, what: str) -> IndexFileError:
    """Return the error for an index whose contents are not what was written."""
    return IndexFileError(f"the index {folder} is damaged: {what}; {REBUILD}")


def _saving_advice(error: Exception) -> str:
    code = _errno(error)
    if code in _FULL:
        return "the disk is full; free some space and save again"
    if code in _FORBIDDEN:
        return "the folder is read-only; make it writable or save elsewhere"
    if code in _NOT_A_FOLDER:
        return "there is a file where a folder is needed; save elsewhere"
    if code == errno.EBUSY:
        return "another process is using it; save again when it has finished"
    if code is None:
        return f"its catalogue is damaged; {REBUILD}"
    return "check the disk and save again"


def _reading_advice(error: Exception) -> str:
    code = _errno(error)
    if code in _FORBIDDEN:
        return "it may not be opened; check the permissions of the folder and its files"
    if code == errno.EBUSY:
        return "another process is saving it; load again when it has finished"
    if code is None:
        return f"its catalogue is damaged; {REBUILD}"
    return "check the disk and load again"


def _errno(error: Exception) -> int | None:
    """Return the error's errno; ``None`` is SQLite's way to say that the contents are wrong."""
    if isinstance(error, OSError):
        return error.errno or errno.EIO
    return _SQLITE.get(getattr(error, "sqlite_errorcode", -1) & 0xFF)
