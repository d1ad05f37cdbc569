"""What a person hands in, as a dataset of Ray; what was read before is left out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from os import PathLike
from typing import TYPE_CHECKING, Any

from s3_retriever.distributed.rows import (
    Row,
    blocks_of,
    check_columns,
    documents_in,
    row_of,
    table_of_documents,
)
from s3_retriever.documents import Document, Skipped
from s3_retriever.engine.intake import take_each
from s3_retriever.errors import InputError
from s3_retriever.files import read_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from s3_retriever.documents import Draft
    from s3_retriever.engine.intake import OnError

_SAMPLE_CHARACTERS = 5_000_000  # of the first documents, from which a new bank is made
_SAMPLE_ROWS = 1000  # of a dataset


@dataclass
class Source:
    """What is to be read.

    Attributes:
        dataset: Of Ray; None where nothing is.
        rows: Of all documents, in order, where they are known before they are read.
        sample: The first of them.
        characters: Of what is to be read; None where that is not known.
        skipped: What was left out.
    """

    dataset: Any = None
    rows: list[Row] | None = None
    sample: list[Document] = field(default_factory=list)
    characters: int | None = None
    skipped: list[Skipped] = field(default_factory=list)


def source_of(
    ray: Any,
    given: Any,
    known: Collection[tuple[str, str]],
    workers: int,
    on_error: OnError,
) -> Source:
    """Make a dataset of what is handed in.

    Args:
        ray: The module.
        given: A dataset of Ray Data; or a file, folder or glob, or a list of them; or documents,
            which are taken one by one and lie in Ray's store until they are read.
        known: Ids and digests of texts that were read.
        workers: How many read at a time, at least.
        on_error: What becomes of documents that cannot be indexed.

    Raises:
        InputError: nothing of the kind, or documents that cannot be indexed.
    """
    if isinstance(given, ray.data.Dataset):
        check_columns(given.columns() or ())
        return Source(given)
    return _handed_in(ray, _items(given), known, workers, on_error)


def sample_of(source: Source) -> list[Document]:
    """The first documents, to make a bank from."""
    if source.rows is not None:
        return source.sample
    tables = source.dataset.limit(_SAMPLE_ROWS).iter_batches(
        batch_size=None, batch_format="pyarrow"
    )
    found = (document for table in tables for document in documents_in(table))
    return [document for document in found if isinstance(document, Document)]


def _items(given: Any) -> Iterator[Document | Draft | str]:
    if isinstance(given, str | PathLike):
        return iter(read_files(given))
    if not isinstance(given, Iterable):
        raise InputError(
            f"give paths, documents, or a dataset of Ray Data, not one {type(given).__name__}"
        )
    coming = iter(given)
    first = next(coming, None)
    if isinstance(first, str | PathLike):
        return iter(read_files(first, *coming))
    return coming if first is None else chain([first], coming)


def _handed_in(
    ray: Any,
    items: Iterable[Document | Draft | str],
    known: Collection[tuple[str, str]],
    workers: int,
    on_error: OnError,
) -> Source:
    rows: list[Row] = []
    found = Source(rows=rows, characters=0)
    used: set[str] = set()
    numbers = (str(n) for n in count() if str(n) not in used)
    room = _SAMPLE_CHARACTERS

    def unread() -> Iterator[Document]:
        nonlocal room
        for document in take_each(items, used, numbers, on_error, found.skipped):
            rows.append(row_of(document))
            if room > 0:
                found.sample.append(document)
                room -= len(document.text)
            if (rows[-1].id, rows[-1].text) not in known:
                yield document

    tables = []
    for block in blocks_of(unread(), workers):
        found.characters = (found.characters or 0) + block.characters
        tables.append(ray.put(table_of_documents(block.documents)))
    found.dataset = ray.data.from_arrow_refs(tables) if tables else None
    return found
