"""Documents as rows of tables: what goes to workers, and what comes back of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever.documents import Document
from s3_retriever.engine.streaming import digest_of
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NEEDED = ("id", "text")
METADATA = "metadata"

_LARGEST = 1_000_000  # characters in a block, about a segment of the index
_SMALLEST = 20_000
_SHARES = 4  # blocks for each worker at least, so that they end together


class Row(NamedTuple):
    """What a worker says of a document.

    Attributes:
        id: The document's.
        text: Digest of its text; ``""`` where it cannot be indexed.
        metadata: As JSON.
        problem: Why it cannot be; else ``""``.
        error: Where the worker failed, the name of the error, whose message is `problem`: Ray
            would hand on its text alone.
    """

    id: str
    text: str
    metadata: str
    problem: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Documents that go to a worker together.

    Attributes:
        documents: In order.
        characters: Of their texts.
    """

    documents: tuple[Document, ...]
    characters: int


def blocks_of(documents: Iterable[Document], workers: int) -> Iterator[Block]:
    """Documents in blocks, small ones first, since how many will come is not known.

    Args:
        documents: Taken one by one.
        workers: How many read at a time, at least.
    """
    held: list[Document] = []
    size = total = 0
    for document in documents:
        held.append(document)
        size += len(document.text)
        total += len(document.text)
        if size >= min(_LARGEST, max(_SMALLEST, total // (_SHARES * workers))):
            yield Block(tuple(held), size)
            held, size = [], 0
    if held:
        yield Block(tuple(held), size)


def table_of(rows: Iterable[NamedTuple | tuple[str, ...]], names: tuple[str, ...]) -> Any:
    """A table of PyArrow with columns of text."""
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table(
        {name: pa.array(c, pa.large_string()) for name, c in zip(names, columns, strict=True)}
    )


def table_of_documents(documents: Iterable[Document]) -> Any:
    """Documents as a table with the columns ``id``, ``text`` and ``metadata``, as JSON."""
    rows = ((d.id, d.text, json.dumps(d.metadata, ensure_ascii=False)) for d in documents)
    return table_of(rows, (*NEEDED, METADATA))


def row_of(document: Document) -> Row:
    """What is said of a document that can be indexed."""
    metadata = json.dumps(document.metadata, ensure_ascii=False)
    return Row(document.id, digest_of(document.text), metadata)


def documents_in(table: Any) -> Iterator[Document | Row]:
    """The documents of a table; of one that cannot be indexed, a row that says why.

    Args:
        table: Of PyArrow, with columns ``id`` and ``text``. The column ``metadata`` holds mappings,
            or JSON of them; where there is none, all other columns are metadata.
    """
    for row in table.to_pylist():
        id = row.pop("id")
        try:
            yield Document(id=_id(id), text=row.pop("text"), metadata=_metadata(row))
        except InputError as error:
            yield Row(str(id), "", "{}", str(error))


def check_columns(names: Iterable[str]) -> None:
    """Make sure that a dataset has what documents are made of.

    Raises:
        InputError: it has not.
    """
    there = sorted(names)
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise InputError(
            f"the dataset has no column {' and no column '.join(map(repr, missing))}, but "
            f"{', '.join(there) or 'none'}; give it one: "
            f"dataset.rename_columns({{'…': {missing[0]!r}}})"
        )


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


def _metadata(rest: dict[str, Any]) -> Any:
    if METADATA not in rest:
        return rest
    found = rest[METADATA]
    if not isinstance(found, str):
        return found or {}
    try:
        return json.loads(found)
    except ValueError as error:
        raise InputError(f"its metadata is no JSON ({error}); give an object") from error
