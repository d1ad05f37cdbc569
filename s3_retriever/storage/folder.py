"""Load, verify and describe an index folder; `s3_retriever.storage.save` writes one.

::

    index/
      catalogue.sqlite      documents, texts, metadata, header; the single point of commit
      segments/<uid>.safetensors    arrays of documents, or tables of a segment; never changed
      bank-<digest>/        files that belong to the index, likewise
      lock                  held while a process saves
      s3-retriever.unfinished       while one does: what it makes and what it will remove

Loading reads all texts into memory, which suits collections of up to about 100 MB of text;
arrays stay on disk and are mapped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.storage.catalogue import (
    ATTACHED,
    CATALOGUE,
    format_of,
    open_catalogue,
    read_contents,
    read_texts,
    read_version,
)
from s3_retriever.storage.failures import damaged, folder_of
from s3_retriever.storage.segments import open_arrays, open_segment
from s3_retriever.storage.stored import StoredDocument
from s3_retriever.storage.verify import VerifyReport, problems

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from s3_retriever.storage.catalogue import Contents, Version


@dataclass(frozen=True, slots=True)
class LoadedSegment:
    """The documents of a segment, with their tables.

    Attributes:
        documents: Those that are not deleted, in the segment's order.
        numbers: Which of the documents that the tables were made of each of them is.
        tables: Arrays by name, mapped likewise; None where there are none.
        made: By what they were made, see `TableMaker.name`.
    """

    documents: tuple[StoredDocument, ...]
    numbers: tuple[int, ...]
    tables: Mapping[str, NDArray[np.generic]] | None
    made: str


@dataclass(frozen=True)
class LoadedIndex:
    """What an index folder holds.

    Attributes:
        header: As given when saving.
        documents: In the order given when saving; their arrays are read-only views of the
            segments, mapped into memory and read when looked at.
        version: The state that was read.
        tables: Of the segments that have any, by the segment's name.
    """

    header: dict[str, Any]
    documents: list[StoredDocument]
    version: Version
    tables: Mapping[str, Mapping[str, NDArray[np.generic]]]

    @cached_property
    def segments(self) -> list[LoadedSegment]:
        """The same documents by segments, in the order of the first of each."""
        contents = self.version.contents
        items = {item.document.id: item for item in self.documents}
        return [
            LoadedSegment(
                tuple(items[entry.id] for entry in own),
                tuple(entry.number for entry in own),
                self.tables.get(name),
                contents.tables[name].made if name in contents.tables else "",
            )
            for name, own in contents.by_segment().items()
        ]


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
        segments: Number of segments.
        segment_bytes: Size of their files, rows of deleted documents not yet compacted included.
        table_bytes: Size of what was made of their documents.
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
    table_bytes: int
    catalogue_bytes: int
    text_bytes: int


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
        version, texts = read_version(connection), read_texts(connection)
        contents = version.contents
        _check_complete(folder, contents, texts)
        arrays = {s.name: open_segment(folder, s) for s in contents.segments.values()}
        documents = [
            StoredDocument(
                Document(entry.id, texts[entry.text], json.loads(entry.metadata)),
                {
                    name: array[entry.first_row : entry.first_row + entry.rows]
                    for name, array in arrays[entry.segment].items()
                },
                entry.arrays,
            )
            for entry in contents.entries
        ]
        tables = {name: open_arrays(folder, own) for name, own in contents.tables.items()}
    return LoadedIndex(_own_header(contents), documents, version, tables)


def _own_header(contents: Contents) -> dict[str, Any]:
    """The header as it was given when saving."""
    return {name: value for name, value in contents.header.items() if name != ATTACHED}


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
            bytes=sum(segment.size for segment in contents.segments.values())
            + sum(table.size for table in contents.tables.values()),
            problems=tuple(problems(folder, connection, contents)),
        )


def row_bytes(folder: Path, version: Version) -> int:
    """Bytes of a token's rows in all arrays, the same for all documents; 0 where there are none.

    Raises:
        IndexFileError: a segment is damaged.
    """
    for segment in version.contents.segments.values():
        arrays = open_segment(folder, segment).values()
        return sum(array.nbytes for array in arrays) // max(segment.rows, 1)
    return 0


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
            format_version=format_of(connection),
            header=_own_header(contents),
            documents=len(contents.entries),
            characters=sum(entry.characters for entry in contents.entries),
            tokens=sum(entry.rows for entry in contents.entries),
            segments=len(contents.segments),
            segment_bytes=sum(segment.size for segment in contents.segments.values()),
            table_bytes=sum(table.size for table in contents.tables.values()),
            catalogue_bytes=(folder / CATALOGUE).stat().st_size,
            text_bytes=int(text_bytes),
        )
