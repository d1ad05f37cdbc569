"""Save an index folder: all of it, or what is added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.storage.catalogue import stored_version
from s3_retriever.storage.change import Change
from s3_retriever.storage.commit import commit, with_attached
from s3_retriever.storage.failures import folder_of
from s3_retriever.storage.gather import gather
from s3_retriever.storage.segments import SEGMENT_ROWS
from s3_retriever.storage.target import holding
from s3_retriever.storage.writer import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from pathlib import Path

    from s3_retriever.storage.catalogue import Version
    from s3_retriever.storage.commit import Filled
    from s3_retriever.storage.journal import Journal
    from s3_retriever.storage.merge import MergeHeaders
    from s3_retriever.storage.stored import StoredDocument, TableMaker


def save_index(
    path: str | PathLike[str],
    *,
    documents: Iterable[StoredDocument],
    header: Mapping[str, Any],
    attached: Mapping[str, bytes] | None = None,
    base: Version | None = None,
    merge: MergeHeaders | None = None,
    maker: TableMaker | None = None,
    compact: bool = False,
) -> Version:
    """Make the folder hold these documents, in this order, and no others.

    Interrupted at any point, it leaves the index that was there, or the new one, whole. What is
    already stored is not written again: a document with the same id and arrays keeps its rows, and
    the rows of one that is deleted are out of use. A segment that is more than half out of use is
    written anew, and small ones are merged (`s3_retriever.storage.tiers`). Of what is in the
    folder, only files that the old catalogue or the journal of a killed save names are ever
    removed.

    Args:
        path: The folder; created if missing. It may be empty or hold an index.
        documents: With distinct ids, and arrays of the same names, types and trailing
            dimensions. May be a generator: what has been written is not held in memory.
        header: JSON-serialisable values by name, returned as they are by `load_index`.
        attached: Files that belong to the index, by path below the folder, where they never
            change: ``bank-<digest>/…``. Written before the catalogue names them.
        base: The state that the documents were made from. Where the folder has changed since,
            both changes are made. None to replace whatever is there.
        merge: Makes one of two changed headers; without it `header` is taken.
        maker: Makes tables of the documents of each segment, which are written beside them.
        compact: Merge whatever segments fit together, and drop all that is out of use.

    Returns:
        The new state.

    Raises:
        InputError: a duplicate id, metadata or a header that is not JSON, or arrays that do not
            fit together.
        IndexConflictError: both changes touch one document, or one setting.
        IndexFileError: the folder is read-only, full, in use, damaged or not an index.
        FormatVersionError: a newer release wrote what is there.
    """
    folder, attached = folder_of(path), attached or {}
    header = with_attached(header, attached)
    with holding(folder):
        old = stored_version(folder)
        base = None if old is None or base is None or old.seal == base.seal else base
        return _write(
            folder,
            old,
            Change(documents),
            header,
            attached,
            base=None if base is None else base.contents,
            merge=merge,
            maker=maker,
            compact=compact,
        )


def extend_index(
    path: str | PathLike[str],
    change: Change,
    *,
    header: Mapping[str, Any],
    attached: Mapping[str, bytes] | None = None,
    maker: TableMaker | None = None,
) -> Version:
    """Change some documents of a folder, and leave the others as they are, unread.

    As safe as `save_index`, and with the same errors. What is held grows with the new documents,
    and by a line of the catalogue for each of the others.

    Args:
        path: The folder; created if missing.
        change: What becomes of which documents.
        header: As for `save_index`.
        attached: Likewise.
        maker: Likewise.

    Returns:
        The new state.
    """
    folder, attached = folder_of(path), attached or {}
    header = with_attached(header, attached)
    with holding(folder):
        old = stored_version(folder)
        kept = {} if old is None else {entry.id: entry for entry in old.contents.entries}
        change = change.keeping(kept)
        return _write(folder, old, change, header, attached, maker=maker)


def _write(
    folder: Path,
    old: Version | None,
    change: Change,
    header: Mapping[str, Any],
    attached: Mapping[str, bytes],
    *,
    maker: TableMaker | None,
    **how: Any,
) -> Version:
    """Write what is not there yet, then the catalogue; the lock is held."""
    before = None if old is None else old.contents

    def fill(journal: Journal) -> Filled:
        writer = SegmentWriter(folder, SEGMENT_ROWS, journal, maker)
        contents, texts = gather(folder, change, header, before, writer, maker=maker, **how)
        return contents, texts.items()

    return commit(folder, before, attached, fill)
