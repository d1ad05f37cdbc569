"""What the next state of an index is made of: documents checked, kept, written or merged."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.storage.catalogue import Contents, Entry, stored_text
from s3_retriever.storage.failures import damaged
from s3_retriever.storage.merge import merged
from s3_retriever.storage.segments import (
    DTYPES,
    Segment,
    array_digest,
    missing_or_cut,
    open_segment,
    row_count,
)
from s3_retriever.storage.stored import StoredDocument
from s3_retriever.storage.tiers import Used, groups_to_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from s3_retriever.storage.change import Change
    from s3_retriever.storage.merge import MergeHeaders
    from s3_retriever.storage.segments import Table
    from s3_retriever.storage.stored import TableMaker
    from s3_retriever.storage.writer import SegmentWriter


def gather(
    folder: Path,
    change: Change,
    header: Mapping[str, Any],
    old: Contents | None,
    writer: SegmentWriter,
    *,
    base: Contents | None = None,
    merge: MergeHeaders | None = None,
    maker: TableMaker | None = None,
    compact: bool = False,
) -> tuple[Contents, dict[str, str]]:
    """Write the arrays that are not stored yet.

    Args:
        folder: The index.
        change: All that it shall hold.
        header: Its header.
        old: What it holds now.
        writer: Takes the arrays; makes tables with the same maker.
        base: What the documents were made from, where `old` has changed since: both changes are
            then made.
        merge: Does the same for the headers.
        maker: Makes tables where a segment has none that fit.
        compact: Whether to merge segments that need not be; see `groups_to_write`.

    Returns:
        What the catalogue shall hold, and the texts that it does not hold yet, by digest.

    Raises:
        InputError: a document cannot be stored as it is.
        IndexConflictError: two changes touch each other.
        IndexFileError: arrays could not be written, or old ones that were to be moved are
            damaged.
    """
    segments = _sound_segments(folder, old)
    stored = {e.id: e for e in old.entries if e.segment in segments} if old else {}
    old_texts = {entry.text for entry in old.entries} if old else set()
    entries = dict(change.kept)
    _check_placed(folder, entries, {*segments})
    texts: dict[str, str] = {}
    new: set[str] = set()
    known: dict[str, Document] = {}
    layout = None
    for item in change.documents:
        arrays = _checked_arrays(item)
        layout = _checked_layout(item.document.id, arrays, layout)
        entry = _describe(item, arrays)
        if entry.id in new:
            raise InputError(f"two documents have the id {entry.id!r}; give each its own")
        if entry.text not in old_texts:
            texts[entry.text] = item.document.text
        was = stored.get(entry.id)
        if was and was.arrays == entry.arrays and (maker is None or was.text == entry.text):
            place = was.segment, was.first_row, was.number
        else:
            place = writer.add(StoredDocument(item.document, arrays, entry.arrays))
        entries.pop(entry.id, None)
        entries[entry.id] = _placed(entry, *place)
        new.add(entry.id)
        known[entry.text] = item.document
    if base is not None and old is not None:
        entries = merged(folder, base.entries, entries, old.entries)
        header = merge(base.header, header, old.header) if merge else header
        _check_placed(folder, entries, {*segments, *writer.names})
    writer.flush()
    lying = _Lying(folder, segments, known)
    _rewrite(lying, entries, writer, compact)
    tables = _sound_tables(folder, old, maker)
    if maker is not None:
        _make_tables(lying, entries, tables, writer)
    segments = segments | {segment.name: segment for segment in writer.written}
    tables |= writer.tables
    used = {entry.segment: segments[entry.segment] for entry in entries.values()}
    kept = {name: tables[name] for name in used if name in tables}
    return Contents(header, used, kept, tuple(entries.values())), texts


def _placed(entry: Entry, segment: str, first_row: int, number: int) -> Entry:
    return entry._replace(segment=segment, first_row=first_row, number=number)


class _Lying:
    """Documents as they lie in an index.

    Args:
        folder: The index.
        segments: Its segments by name.
        known: Documents whose texts need not be read, by digests of the texts.
    """

    def __init__(
        self, folder: Path, segments: Mapping[str, Segment], known: Mapping[str, Document]
    ) -> None:
        self.segments = segments
        self._folder, self._known = folder, known
        self._opened: dict[str, dict[str, NDArray[Any]]] = {}

    def document(self, entry: Entry) -> StoredDocument:
        """One of them, with its arrays as they are on the disk.

        Raises:
            IndexFileError: they are not what was written.
        """
        if entry.segment not in self._opened:
            self._opened[entry.segment] = open_segment(self._folder, self.segments[entry.segment])
        rows = slice(entry.first_row, entry.first_row + entry.rows)
        arrays = {name: array[rows] for name, array in self._opened[entry.segment].items()}
        if array_digest(arrays) != entry.arrays:
            why = f"the arrays of document {entry.id!r} are not what was written"
            raise damaged(self._folder, why)
        known = self._known.get(entry.text)
        text = stored_text(self._folder, entry.text) if known is None else known.text
        return StoredDocument(Document(entry.id, text), arrays, entry.arrays)


def _check_placed(folder: Path, entries: Mapping[str, Entry], segments: set[str]) -> None:
    for entry in entries.values():
        if entry.segment not in segments:
            raise damaged(folder, f"the arrays of document {entry.id!r} are missing")


def _sound_segments(folder: Path, old: Contents | None) -> dict[str, Segment]:
    """Return the stored segments whose files are there; saving makes up for the others."""
    if old is None:
        return {}
    return {n: s for n, s in old.segments.items() if missing_or_cut(folder, s) is None}


def _checked_arrays(item: StoredDocument) -> dict[str, NDArray[Any]]:
    name = item.document.id
    arrays = {key: np.asarray(array) for key, array in item.arrays.items()}
    if not arrays or any(array.ndim == 0 for array in arrays.values()):
        raise InputError(f"document {name!r}: give it arrays with one row per token")
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"document {name!r}: its arrays differ in length: {lengths}")
    for key, array in arrays.items():
        if array.dtype not in DTYPES.values():
            raise InputError(
                f"document {name!r}: array {key!r} has type {array.dtype}, which cannot be "
                "stored; use an integer, float or bool type"
            )
    return arrays


def _checked_layout(
    name: str, arrays: Mapping[str, NDArray[Any]], expected: dict[str, Any] | None
) -> dict[str, Any]:
    layout = {key: (array.dtype.str, array.shape[1:]) for key, array in arrays.items()}
    if expected is not None and layout != expected:
        raise InputError(
            f"document {name!r}: its arrays {layout} are not like those of the documents before, "
            f"{expected}; scan all documents with the same settings"
        )
    return layout


def _describe(item: StoredDocument, arrays: Mapping[str, NDArray[Any]]) -> Entry:
    """Return the document's entry, its place still open."""
    document = item.document
    return Entry(
        id=document.id,
        text=hashlib.sha256(document.text.encode()).hexdigest(),
        characters=len(document.text),
        metadata=json.dumps(document.metadata, ensure_ascii=False),
        arrays=item.digest or array_digest(arrays),
        segment="",
        first_row=0,
        rows=row_count(arrays),
        number=0,
    )


def _rewrite(
    lying: _Lying, entries: dict[str, Entry], writer: SegmentWriter, compact: bool
) -> None:
    """Write again what is in use of segments that are mostly out of use, or small and many."""
    live = Counter[str]()
    for entry in entries.values():
        live[entry.segment] += entry.rows
    runs = [
        [Used(name, live[name], lying.segments[name].rows) for name in own]
        for old, own in groupby(live, key=lambda name: name in lying.segments)
        if old
    ]
    for group in groups_to_write(runs, writer.limit, compact):
        for entry in [entry for entry in entries.values() if entry.segment in group]:
            entries[entry.id] = _placed(entry, *writer.add(lying.document(entry)))
        writer.flush()


def _sound_tables(folder: Path, old: Contents | None, maker: TableMaker | None) -> dict[str, Table]:
    """Return the stored tables that need not be made again."""
    if old is None or maker is None:
        return {}
    return {
        name: table
        for name, table in old.tables.items()
        if maker.fits(table.made) and missing_or_cut(folder, table) is None
    }


def _make_tables(
    lying: _Lying, entries: dict[str, Entry], tables: Mapping[str, Table], writer: SegmentWriter
) -> None:
    """Make the tables of segments that stay and have none that fit, of what is in use of each."""
    lacking: dict[str, list[Entry]] = {}
    for entry in entries.values():
        if entry.segment in lying.segments and entry.segment not in tables:
            lacking.setdefault(entry.segment, []).append(entry)
    for segment, own in lacking.items():
        own.sort(key=lambda entry: (entry.first_row, entry.number))
        writer.add_tables(segment, [lying.document(entry) for entry in own])
        for number, entry in enumerate(own):
            entries[entry.id] = entry._replace(number=number)
