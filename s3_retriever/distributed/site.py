"""The index that workers write pieces of: what it holds, how it is begun, and its one commit."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from s3_retriever.distributed.pieces import clear_away
from s3_retriever.engine.folder_store import FolderStore, header_of
from s3_retriever.engine.opening import READING, begun, taken_up
from s3_retriever.engine.streaming import known_documents
from s3_retriever.errors import InputError
from s3_retriever.reading.clock import ScanReport
from s3_retriever.storage.catalogue import stored_version
from s3_retriever.storage.pieces import PARTS, check_files, take_in_pieces, taken_in
from s3_retriever.storage.segments import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_retriever.codec import Bank
    from s3_retriever.distributed.places import Place
    from s3_retriever.engine.opening import Given
    from s3_retriever.engine.store import State
    from s3_retriever.storage.catalogue import Contents, Entry
    from s3_retriever.storage.pieces import Piece, Wanted


@contextmanager
def site_at(place: Place) -> Iterator[Site]:
    """Take up what a place holds; others are kept from saving there, where that can be done.

    Raises:
        IndexFileError: it cannot be read or written, or is damaged, or somebody else holds it.
        FormatVersionError: a newer release wrote it.
        BankError: its bank is damaged.
    """
    with place.working() as folder:
        yield Site(place, folder)


class Site:
    """An index that is being written by many; see `site_at`.

    Attributes:
        state: What it holds, of `Store.outline`; None where it is not begun.
        entries: All documents that were read, by id, those of pieces included.
        known: Ids of all texts that were read, with their digests.
    """

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._folder = place, folder
        self._store = FolderStore(folder)
        self.state: State | None = self._store.outline()
        pieces = place.pieces(folder)
        self.entries: dict[str, Entry] = known_documents(self.state)
        self.known: set[tuple[str, str]] = {(e.id, e.text) for e in self.entries.values()}
        for piece in pieces:
            self.entries |= {entry.id: entry for entry in piece.contents.entries}
            self.known |= {(entry.id, entry.text) for entry in piece.contents.entries}

    @property
    def tokens(self) -> int:
        """Of all documents that were read."""
        return sum(entry.rows for entry in self.entries.values())

    def begin(self, bank: Bank | None, given: Given) -> State:
        """Fix bank and settings, and let the place hold an index, be it of no document.

        Args:
            bank: Of a new index.
            given: What was asked for.

        Raises:
            InputError: the index was made with another bank or by other chunks than are asked for,
                or pieces of it were.
            IndexFileError: the place cannot be written.
        """
        if self.state is not None:
            state = taken_up(self.state, given)
        elif bank is not None:
            state = begun(bank, given)
        else:
            raise InputError("a new index needs a bank")
        self._check_alike(state, self._place.pieces(self._folder))
        if self.state is None:
            state = self._store.extend(state, ())
            self._place.publish(self._folder)
        self.state = state
        return state

    def finish(self, wanted: Wanted) -> State:
        """Take in all pieces by one commit; nothing is read again.

        Args:
            wanted: Which of their documents.

        Raises:
            IndexFileError: files of the pieces are missing, or the place cannot be written.
            IndexConflictError: somebody else has changed the index meanwhile.
        """
        state, old = self.state, stored_version(self._folder)
        if state is None or old is None:
            raise InputError("an index must be begun before it is finished")
        pieces = self._place.pieces(self._folder)
        self._check_alike(state, pieces)
        report = reduce(add, map(_report, pieces), state.report)
        header = header_of(replace(state, report=report), old.contents.header["uid"])
        contents = taken_in(old.contents, pieces, wanted, header)
        if contents != old.contents:
            check_files(str(self._place), contents, self._place.sizes(FOLDER))
            take_in_pieces(self._folder, old, contents, pieces)
            self._place.publish(self._folder)
        clear_away(self._place, pieces, contents.files)
        if contents != old.contents:
            self._place.tidy()
        self.state = self._store.outline()
        return self.state or state

    def _check_alike(self, state: State, pieces: list[Piece]) -> None:
        for piece in pieces:
            if not _alike(state, piece.contents):
                raise InputError(
                    f"{self._place}/{PARTS}/{piece.folder.name} was read with another bank or "
                    "other chunks than the index has; give those again, or, to have its documents "
                    f"read anew, delete the folder {PARTS} there"
                )


def _alike(state: State, contents: Contents) -> bool:
    scan = contents.header["scan"]
    same = all(getattr(state.scan, name) == scan[name] for name in READING)
    return same and bool(contents.header["codec_fingerprint"] == state.bank.digest())


def _report(piece: Piece) -> ScanReport:
    return ScanReport(**piece.contents.header["report"])
