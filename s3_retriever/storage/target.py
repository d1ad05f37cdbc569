"""Which folders may be saved into, and who is saving into them."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from s3_retriever.errors import IndexFileError
from s3_retriever.storage import files
from s3_retriever.storage.catalogue import CATALOGUE, LEFTOVERS, check_format_of
from s3_retriever.storage.failures import folder_of, saving
from s3_retriever.storage.journal import JOURNAL, TEMPORARY, is_journal, read_journal
from s3_retriever.storage.segments import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from pathlib import Path
    from typing import BinaryIO

LOCK = "lock"

_held: set[tuple[int, int, str]] = set()


def is_index(path: str | PathLike[str]) -> bool:
    """Whether a folder holds an index, as far as one can tell without opening it."""
    return (folder_of(path) / CATALOGUE).exists()


def check_target(path: str | PathLike[str]) -> None:
    """Make sure that an index may be saved into a folder; nothing is written.

    It may be missing or empty, hold an index, or hold what a first save left that was killed.

    Raises:
        InputError: it is no path.
        IndexFileError: it is a file, or holds something else.
        FormatVersionError: it holds an index that a newer release wrote.
    """
    folder = folder_of(path)
    with saving(folder):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if (folder / CATALOGUE).exists():
            check_format_of(folder)
            return
        foreign = _foreign(folder)
    if foreign is not None:
        raise IndexFileError(
            f"{folder} is not empty and holds no index: {foreign} is in it; save into a folder of "
            "its own, such as one that does not exist yet"
        )


def _foreign(folder: Path) -> str | None:
    """Something in a folder that no save of ours can have left."""
    noted = read_journal(folder)
    ours = {LOCK, FOLDER, *LEFTOVERS, *(name.split("/")[0] for name in noted)}
    ours |= {JOURNAL} if is_journal(folder) else set()
    strange = sorted({path.name for path in folder.iterdir()} - ours)
    if strange:
        return strange[0]
    inside = {f"{FOLDER}/{path.name}" for path in (folder / FOLDER).glob("*")}
    return next(iter(sorted(inside - noted - {name + TEMPORARY for name in noted})), None)


@contextmanager
def holding(path: str | PathLike[str]) -> Iterator[None]:
    """Keep other processes and threads from saving into a folder, which is made if missing.

    Hold it from loading to saving, and nobody else's change comes between. A thread that holds a
    folder may hold it again, and `save_index` does.

    Raises:
        InputError: it is no path.
        IndexFileError: the folder cannot be saved into (see `check_target`), or somebody else
            holds it.
        FormatVersionError: it holds an index that a newer release wrote.
    """
    folder = folder_of(path)
    key = os.getpid(), threading.get_ident(), os.path.realpath(folder)
    if key in _held:
        yield
        return
    check_target(folder)
    with closing(_locked(folder)):
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)


def _locked(folder: Path) -> BinaryIO:
    with saving(folder):
        if not (folder / FOLDER).is_dir():
            files.make_folder(folder / FOLDER)
            files.sync_folder(folder)
            files.sync_folder(folder.absolute().parent)
        try:
            return files.lock(folder / LOCK)
        except BlockingIOError as error:
            raise IndexFileError(
                f"another process is saving the index {folder}; save again when it has finished"
            ) from error
