"""What a worker read becomes a piece of the index: its files first, then its catalogue."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from s3_retriever.engine.folder_store import write_piece
from s3_retriever.reading.clock import ScanReport
from s3_retriever.storage.catalogue import CATALOGUE
from s3_retriever.storage.failures import saving
from s3_retriever.storage.pieces import NAMES, PARTS, noted_files

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from s3_retriever.codec import TokenCodes
    from s3_retriever.distributed.places import Place
    from s3_retriever.documents import Document
    from s3_retriever.engine.store import State
    from s3_retriever.storage.pieces import Piece


class PieceSink:
    """Takes what a worker reads; does as `s3_retriever.engine.store.Sink` says.

    Args:
        place: Of the index.
        cells: Whether tables hold cells.

    Attributes:
        written: Ids and digests of the texts of all documents written.
        tokens: Their tokens.
    """

    def __init__(self, place: Place, cells: bool) -> None:
        self._place, self._cells = place, cells
        self._told = ScanReport()
        self.written: set[tuple[str, str]] = set()
        self.tokens = 0

    def begin(self) -> None:
        """The next report counts from nothing."""
        self._told = ScanReport()

    def extend(
        self,
        state: State,
        entries: Sequence[tuple[Document, TokenCodes]],
        gone: Collection[str] = (),
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> State:
        """Write documents as a piece of their own; the others are not looked at."""
        own = replace(state, report=state.report - self._told)
        with TemporaryDirectory(prefix="s3-retriever-") as made:
            folder = Path(made)
            with saving(folder):
                version = write_piece(folder, own, entries, self._cells)
                contents = version.contents
                uid, names = uuid.uuid4().hex, sorted(contents.files)
                self._place.write(f"{PARTS}/{uid}/{NAMES}", json.dumps(names).encode())
                for name in (*names, CATALOGUE):
                    target = f"{PARTS}/{uid}/{name}" if name == CATALOGUE else name
                    self._place.write(target, (folder / name).read_bytes())
        self._told = state.report
        self.written |= {(entry.id, entry.text) for entry in contents.entries}
        self.tokens += sum(entry.rows for entry in contents.entries)
        return state


def clear_away(place: Place, pieces: Sequence[Piece], used: Collection[str]) -> None:
    """Remove all pieces that were taken in, what no document needs of them, and what was begun.

    Args:
        place: Of the index.
        pieces: That were taken in.
        used: Files of the index that stay.
    """
    inside = place.sizes(PARTS)
    notes = [place.read(name) or b"" for name in inside if name.endswith(f"/{NAMES}")]
    files = noted_files(notes).union(*(piece.contents.files for piece in pieces))
    place.remove(sorted(files - {*used}))
    place.remove(sorted(inside, key=lambda name: name.endswith(NAMES)))
