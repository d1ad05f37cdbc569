"""Several index folders as one: their files are copied as they are, under names of their own."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever.errors import IndexFileError, InputError, some_of
from s3_retriever.storage import files
from s3_retriever.storage.catalogue import Contents, open_catalogue, read_contents
from s3_retriever.storage.commit import commit, with_attached
from s3_retriever.storage.failures import damaged, folder_of, saving
from s3_retriever.storage.segments import FOLDER, missing_or_cut
from s3_retriever.storage.target import holding, is_index
from s3_retriever.storage.writer import write_whole

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from s3_retriever.storage.catalogue import Entry, Version
    from s3_retriever.storage.commit import Filled
    from s3_retriever.storage.journal import Journal
    from s3_retriever.storage.segments import Segment, Table


class _Source(NamedTuple):
    folder: Path
    connection: sqlite3.Connection
    contents: Contents


def join_indexes(
    sources: Sequence[str | PathLike[str]],
    path: str | PathLike[str],
    *,
    header: Mapping[str, Any],
    attached: Mapping[str, bytes] | None = None,
) -> Version:
    """Write the documents of several indexes into a new one, without reading any anew.

    The segments and tables are copied file by file, each compared with its checksum; others may
    save into the sources meanwhile. As safe as `save_index`.

    Args:
        sources: Folders of indexes whose arrays are alike.
        path: Folder that holds no index; created if missing.
        header: As for `save_index`.
        attached: Likewise.

    Returns:
        The state of the new index, with the documents in the order of the sources.

    Raises:
        InputError: two of them have documents with the same id.
        IndexFileError: a source is no index, or damaged; or the folder cannot be written, or holds
            an index.
        FormatVersionError: a newer release wrote a source.
    """
    folder, attached = folder_of(path), attached or {}
    header = with_attached(header, attached)
    with ExitStack() as stack:
        opened = [_opened(stack, folder_of(source)) for source in sources]
        clash = _clash(opened)
        if clash is None:
            with holding(folder):
                if is_index(folder):
                    raise IndexFileError(
                        f"{folder} holds an index already; merge into a folder that does not exist"
                    )
                return commit(
                    folder, None, attached, lambda journal: _copied(folder, opened, header, journal)
                )
    raise InputError(clash)


def _opened(stack: ExitStack, folder: Path) -> _Source:
    connection = stack.enter_context(open_catalogue(folder))
    return _Source(folder, connection, read_contents(connection))


def _clash(sources: Sequence[_Source]) -> str | None:
    """Which ids come twice, if any do."""
    owner: dict[str, Path] = {}
    for source in sources:
        twice = [entry.id for entry in source.contents.entries if entry.id in owner]
        if twice:
            return (
                f"{owner[twice[0]]} and {source.folder} both have a document with the id "
                f"{some_of(twice)}; nothing was merged: delete it from one of them, or build one "
                "with other ids"
            )
        owner |= dict.fromkeys((entry.id for entry in source.contents.entries), source.folder)
    return None


def _copied(
    folder: Path, sources: Sequence[_Source], header: Mapping[str, Any], journal: Journal
) -> Filled:
    """Copy the files of all sources; what a catalogue says of them now."""
    segments: dict[str, Segment] = {}
    tables: dict[str, Table] = {}
    entries: list[Entry] = []
    for source in sources:
        names = {name: uuid.uuid4().hex for name in source.contents.segments}
        for segment in source.contents.segments.values():
            own = segment._replace(name=names[segment.name])
            _copy(source.folder, segment, folder, own, journal)
            segments[own.name] = own
        for table in source.contents.tables.values():
            copy = table._replace(segment=names[table.segment], name=uuid.uuid4().hex)
            _copy(source.folder, table, folder, copy, journal)
            tables[copy.segment] = copy
        entries += [
            entry._replace(segment=names[entry.segment]) for entry in source.contents.entries
        ]
    return Contents(header, segments, tables, tuple(entries)), _texts(sources)


def _copy(
    source: Path, file: Segment | Table, folder: Path, copy: Segment | Table, journal: Journal
) -> None:
    wrong = missing_or_cut(source, file)
    if wrong is not None:
        raise damaged(source, wrong)
    data = file.path(source).read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise damaged(source, f"{file.file} does not have the checksum it was written with")
    with saving(folder):
        files.make_folder(folder / FOLDER)
        journal.note([copy.file])
        write_whole(folder / copy.file, data)


def _texts(sources: Sequence[_Source]) -> Iterator[tuple[str, str]]:
    for source in sources:
        for digest, text in source.connection.execute("SELECT digest, text FROM texts"):
            yield digest, text.decode()
