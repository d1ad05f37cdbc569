"""What the next state of an index is made of: documents checked, kept, written or merged."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.storage.catalogue import Contents, Entry
from s3_retriever.storage.failures import damaged
from s3_retriever.storage.merge import merged
from s3_retriever.storage.segments import (
    DTYPES,
    Segment,
    SegmentWriter,
    array_digest,
    missing_or_cut,
    open_segment,
    row_count,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from s3_retriever.documents import Document
    from s3_retriever.storage.merge import MergeHeaders

SMALL_BYTES = 2**20
"""A segment below this size is small."""

MANY_SMALL = 64
"""More small segments than this are merged."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document and its arrays.

    Attributes:
        document: The text with its id and metadata.
        arrays: By name, each with one row per token; the same names, types and trailing
            dimensions for all documents of an index. Types: bool, (u)int8 to (u)int64, float16
            to float64.
        digest: `s3_retriever.storage.array_digest` of the arrays, where it is known; else it is
            worked out when they are saved.
    """

    document: Document
    arrays: Mapping[str, NDArray[Any]]
    digest: str | None = None


def gather(
    folder: Path,
    documents: Iterable[StoredDocument],
    header: Mapping[str, Any],
    old: Contents | None,
    writer: SegmentWriter,
    base: Contents | None = None,
    merge: MergeHeaders | None = None,
) -> tuple[Contents, dict[str, str]]:
    """Write the arrays that are not stored yet.

    Args:
        folder: The index.
        documents: All that it shall hold.
        header: Its header.
        old: What it holds now.
        writer: Takes the arrays.
        base: What the documents were made from, where `old` has changed since: both changes are
            then made.
        merge: Does the same for the headers.

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
    entries: dict[str, Entry] = {}
    texts: dict[str, str] = {}
    layout = None
    for item in documents:
        arrays = _checked_arrays(item)
        layout = _checked_layout(item.document.id, arrays, layout)
        entry = _describe(item, arrays)
        if entry.id in entries:
            raise InputError(f"two documents have the id {entry.id!r}; give each its own")
        if entry.text not in old_texts:
            texts[entry.text] = item.document.text
        known = stored.get(entry.id)
        if known and known.arrays == entry.arrays:
            place = (known.segment, known.first_row)
        else:
            place = writer.add(arrays)
        entries[entry.id] = entry._replace(segment=place[0], first_row=place[1])
    if base is not None and old is not None:
        entries = merged(folder, base.entries, entries, old.entries)
        header = merge(base.header, header, old.header) if merge else header
        _check_placed(folder, entries, {*segments, *writer.names})
    _compact(folder, segments, entries, writer)
    writer.flush()
    segments.update({segment.name: segment for segment in writer.written})
    used = {entry.segment: segments[entry.segment] for entry in entries.values()}
    return Contents(header, used, tuple(entries.values())), texts


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
    )


def _compact(
    folder: Path, segments: Mapping[str, Segment], entries: dict[str, Entry], writer: SegmentWriter
) -> None:
    """Write again what is in use of segments that are mostly out of use, or small and many."""
    live = Counter[str]()
    for entry in entries.values():
        if entry.segment in segments:
            live[entry.segment] += entry.rows
    old = _needing_compaction([segments[name] for name in live], live)
    opened = {segment.name: open_segment(folder, segment) for segment in old}
    for entry in list(entries.values()):
        if entry.segment not in opened:
            continue
        rows = slice(entry.first_row, entry.first_row + entry.rows)
        arrays = {name: array[rows] for name, array in opened[entry.segment].items()}
        if array_digest(arrays) != entry.arrays:
            raise damaged(folder, f"the arrays of document {entry.id!r} are not what was written")
        segment, first_row = writer.add(arrays)
        entries[entry.id] = entry._replace(segment=segment, first_row=first_row)


def _needing_compaction(used: list[Segment], live: Mapping[str, int]) -> list[Segment]:
    small = [segment for segment in used if segment.size < SMALL_BYTES]
    crowded = small if len(small) > MANY_SMALL else []
    return [s for s in used if s in crowded or 2 * live[s.name] < s.rows]
