"""Writes segments, and tables beside them, while documents come in."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from s3_retriever.storage import files
from s3_retriever.storage.failures import saving
from s3_retriever.storage.journal import TEMPORARY
from s3_retriever.storage.segments import Segment, Table, row_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from s3_retriever.storage.journal import Journal
    from s3_retriever.storage.stored import StoredDocument, TableMaker


class Place(NamedTuple):
    """Where a document lies.

    Attributes:
        segment: Name of the segment.
        first_row: Where its arrays start.
        number: Which of the segment's documents it is, in tables.
    """

    segment: str
    first_row: int
    number: int


class SegmentWriter:
    """Collects the arrays of documents and writes a segment whenever enough have come together.

    Args:
        folder: The index.
        limit: Rows at which a segment is closed.
        journal: Where the name of each file is noted before it is written.
        maker: Makes the tables of each segment; None for none.

    Attributes:
        limit: As given.
        written: The segments.
        tables: Those of segments, by the segment's name.
    """

    def __init__(
        self, folder: Path, limit: int, journal: Journal, maker: TableMaker | None = None
    ) -> None:
        self._folder = folder
        self.limit = limit
        self._journal = journal
        self._maker = maker
        self._start()
        self.written: list[Segment] = []
        self.tables: dict[str, Table] = {}

    def _start(self) -> None:
        self._name = uuid.uuid4().hex
        self._items: list[StoredDocument] = []
        self._rows = 0

    def add(self, item: StoredDocument) -> Place:
        """Take a document, with arrays of the same length and the layout of the others'.

        Returns:
            The place that it will have.
        """
        place = Place(self._name, self._rows, len(self._items))
        self._items.append(item)
        self._rows += row_count(item.arrays)
        if self._rows >= self.limit:
            self.flush()
        return place

    @property
    def names(self) -> set[str]:
        """Names of the segments written, and of the one that is being collected."""
        return {self._name, *(segment.name for segment in self.written)}

    def flush(self) -> None:
        """Write what has been collected, if anything.

        Raises:
            IndexFileError: it could not be written.
        """
        if not self._items:
            return
        parts = [item.arrays for item in self._items]
        data = save({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        segment = Segment(self._name, self._rows, len(data), hashlib.sha256(data).hexdigest())
        self._write(segment.file, data)
        self.written.append(segment)
        self.add_tables(segment.name, self._items)
        self._start()

    def add_tables(self, segment: str, documents: Sequence[StoredDocument]) -> None:
        """Make and write the tables of a segment, if any are wanted.

        Args:
            segment: Its name.
            documents: All that are in use, in order.

        Raises:
            IndexFileError: they could not be written.
        """
        if self._maker is None:
            return
        data = save(_compact(self._maker.make(documents)))
        digest = hashlib.sha256(data).hexdigest()
        table = Table(segment, uuid.uuid4().hex, len(data), digest, self._maker.name)
        self._write(table.file, data)
        self.tables[segment] = table

    def _write(self, file: str, data: bytes) -> None:
        with saving(self._folder):
            self._journal.note([file])
            write_whole(self._folder / file, data)


def _compact(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, bring it to the disk, and give it its own name."""
    temporary = path.with_name(path.name + TEMPORARY)
    files.remove(temporary)
    with files.create(temporary) as file:
        files.write(file, data)
        files.sync(file)
    files.replace(temporary, path)
    files.sync_folder(path.parent)
