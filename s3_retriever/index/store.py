"""Save, load, verify and describe an index folder.

::

    index/
      catalogue.sqlite      documents, texts, metadata, header; the single point of commit
      segments/<uid>.safetensors    arrays, written once and never changed
      lock                  held while a process saves

Loading reads all texts into memory, which suits collections of up to about 100 MB of text;
arrays stay on disk and are mapped.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import IndexFileError
from s3_retriever.index import files
from s3_retriever.index.catalogue import (
    CATALOGUE,
    FORMAT_VERSION,
    Draft,
    open_catalogue,
    read_contents,
    read_texts,
    stored_contents,
)
from s3_retriever.index.failures import damaged, folder_of, saving
from s3_retriever.index.gather import StoredDocument, checked_json, gather
from s3_retriever.index.segments import FOLDER, SEGMENT_BYTES, SegmentWriter, open_segment, sweep
from s3_retriever.index.verify import VerifyReport, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from pathlib import Path
    from typing import BinaryIO

    from s3_retriever.index.catalogue import Contents

LOCK = "lock"


@dataclass(frozen=True, slots=True)
class LoadedIndex:
    """What an index folder holds.

    Attributes:
        header: As given when saving.
        documents: In the order given when saving; their arrays are read-only views of the
            segments, mapped into memory and read when looked at.
    """

    header: dict[str, Any]
    documents: list[StoredDocument]


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """Sizes of an index folder.

    Attributes:
        path: The folder.
        format_version: Version of its format.
        header: As given when saving.
        documents: Number of documents.
        characters: Length of all texts.
        tokens: Rows of all documents' arrays.
        segments: Number of segment files.
        segment_bytes: Their size, rows of deleted documents not yet compacted included.
        catalogue_bytes: Size of the catalogue, texts included.
        text_bytes: Size of the texts in UTF-8, equal ones counted once.
    """

    path: Path
    format_version: int
    header: dict[str, Any]
    documents: int
    characters: int
    tokens: int
    segments: int
    segment_bytes: int
    catalogue_bytes: int
    text_bytes: int

    @property
    def total_bytes(self) -> int:
        """Bytes of the folder's segments and catalogue together."""
        return self.segment_bytes + self.catalogue_bytes


def save_index(
    path: str | PathLike[str],
    *,
    documents: Iterable[StoredDocument],
    header: Mapping[str, Any],
) -> None:
    """Make the folder hold these documents, in this order, and no others.

    Interrupted at any point, it leaves the index that was there, or the new one, whole. What is
    already stored is not written again: a document with the same id and arrays keeps its rows.
    A segment that is more than half out of use, or one of very many small ones, is merged into a
    new one.

    Args:
        path: The folder; created if missing.
        documents: With distinct ids, and arrays of the same names, types and trailing
            dimensions. May be a generator: what has been written is not held in memory.
        header: JSON-serialisable values by name, returned as they are by `load_index`.

    Raises:
        InputError: a duplicate id, metadata or a header that is not JSON, or arrays that do not
            fit together.
        IndexFileError: the folder is read-only, full, in use, damaged or not an index.
        FormatVersionError: a newer release wrote what is there.
    """
    folder = folder_of(path)
    checked_json(header, "the header")
    with closing(_locked(folder)):
        old = stored_contents(folder)
        with Draft(folder) as draft:
            with SegmentWriter(folder, SEGMENT_BYTES) as writer:
                contents, texts = gather(folder, documents, dict(header), old, writer)
                draft.write(contents, texts)
            draft.commit()
        sweep(folder, keep=contents.segments)


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


def load_index(path: str | PathLike[str]) -> LoadedIndex:
    """Open an index folder, quickly: arrays are mapped, not read.

    What was opened stays usable while another process saves into the same folder.

    Raises:
        IndexFileError: the folder is missing, is not an index, or is damaged as far as the
            catalogue and the sizes of the segments show; `verify_index` looks at every byte.
        FormatVersionError: a newer release wrote it.
    """
    folder = folder_of(path)
    with open_catalogue(folder) as connection:
        contents, texts = read_contents(connection), read_texts(connection)
        _check_complete(folder, contents, texts)
        arrays = {s.name: open_segment(folder, s) for s in contents.segments.values()}
        documents = [
            StoredDocument(
                Document(entry.id, texts[entry.text], json.loads(entry.metadata)),
                {
                    name: array[entry.first_row : entry.first_row + entry.rows]
                    for name, array in arrays[entry.segment].items()
                },
            )
            for entry in contents.entries
        ]
    return LoadedIndex(dict(contents.header), documents)


def _check_complete(folder: Path, contents: Contents, texts: Mapping[str, str]) -> None:
    for entry in contents.entries:
        segment = contents.segments[entry.segment]
        last_row = entry.first_row + entry.rows
        if entry.text not in texts or not 0 <= entry.first_row <= last_row <= segment.rows:
            raise damaged(folder, f"document {entry.id!r} has lost its text or its rows")


def verify_index(path: str | PathLike[str]) -> VerifyReport:
    """Read every byte of an index and compare it with its checksums.

    Also checked: that every document's rows lie in its segment, and that ``starts`` and ``ends``,
    where there are such arrays, rise along the text and stay inside it.

    Raises:
        IndexFileError: there is no index, or its catalogue cannot be read at all. Everything
            else that is wrong is listed in the report.
        FormatVersionError: a newer release wrote it.
    """
    folder = folder_of(path)
    with open_catalogue(folder) as connection:
        contents = read_contents(connection)
        return VerifyReport(
            documents=len(contents.entries),
            segments=len(contents.segments),
            bytes=sum(segment.size for segment in contents.segments.values()),
            problems=tuple(problems(folder, connection, contents)),
        )


def index_info(path: str | PathLike[str]) -> IndexInfo:
    """Return the sizes and the header of an index folder without opening its segments.

    Raises:
        IndexFileError: there is no index, or its catalogue cannot be read.
        FormatVersionError: a newer release wrote it.
    """
    folder = folder_of(path)
    with open_catalogue(folder) as connection:
        contents = read_contents(connection)
        (text_bytes,) = connection.execute("SELECT total(length(text)) FROM texts").fetchone()
        return IndexInfo(
            path=folder,
            format_version=FORMAT_VERSION,
            header=dict(contents.header),
            documents=len(contents.entries),
            characters=sum(entry.characters for entry in contents.entries),
            tokens=sum(entry.rows for entry in contents.entries),
            segments=len(contents.segments),
            segment_bytes=sum(segment.size for segment in contents.segments.values()),
            catalogue_bytes=(folder / CATALOGUE).stat().st_size,
            text_bytes=int(text_bytes),
        )
