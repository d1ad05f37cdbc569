"""A worker: it loads the model once, and reads documents into pieces of the index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from s3_retriever.distributed.pieces import PieceSink
from s3_retriever.distributed.rows import Row, documents_in, row_of, table_of
from s3_retriever.engine.resolve import check_model, resolve_backbone, resolve_bank
from s3_retriever.engine.streaming import Stream
from s3_retriever.errors import InputError
from s3_retriever.fork import computes_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.distributed.places import Place
    from s3_retriever.documents import Document
    from s3_retriever.engine.store import State
    from s3_retriever.fitting.depth import Depth


@dataclass(frozen=True)
class Plan:
    """What all workers are told.

    Attributes:
        model: Name or path of the model; None for the embedded default.
        state: Bank and settings, fixed before the first document is read.
        place: Where the index lies.
        known: Ids and digests of the texts that were read already.
        cells: Whether tables hold cells, as those of a large index do.
        strict: Whether a document that cannot be indexed is an error.
    """

    model: str | None
    state: State
    place: Place
    known: frozenset[tuple[str, str]]
    cells: bool
    strict: bool = True


class Reader:
    """Reads tables of documents; what it was given is on the disk when it returns.

    Args:
        plan: What to do.
        again: Whether a worker before it died, whose pieces are looked at first.

    Attributes:
        tokens: Tokens read so far.

    Raises:
        ModelMismatchError: the model here is not the one that the bank was made with.
    """

    def __init__(self, plan: Plan, again: bool = False) -> None:
        self._plan = plan
        self._backbone = resolve_backbone(plan.model, None)
        check_model(self._backbone, plan.state.bank, "the index")
        computes_here()
        self._sink = PieceSink(plan.place, plan.cells)
        if again:
            self._sink.written |= written_at(plan.place)

    @property
    def tokens(self) -> int:
        """Tokens read so far."""
        return self._sink.tokens

    def __call__(self, table: Any) -> Any:
        """Read the documents of a table that were not read yet.

        Returns:
            A table of `Row`, one for each document, in order.

        Raises:
            InputError: a document that cannot be indexed, where that is an error; what came before
                it is kept.
            IndexFileError: the place cannot be written.
        """
        rows: list[Row] = []
        self._sink.begin()
        stream = Stream(self._sink, self._backbone, self._plan.state)
        stream.take(self._unread(table, rows))
        return table_of(rows, Row._fields)

    def _unread(self, table: Any, rows: list[Row]) -> Iterator[Document]:
        own: set[str] = set()
        for document in documents_in(table):
            row = document if isinstance(document, Row) else row_of(document)
            rows.append(row)
            if isinstance(document, Row):
                if self._plan.strict:
                    raise InputError(
                        f"{row.problem}; what was read before it is kept; to read the others: "
                        "on_error='skip'"
                    )
                continue
            key = row.id, row.text
            if key not in self._plan.known and key not in self._sink.written and row.id not in own:
                own.add(row.id)
                yield document


def written_at(place: Place) -> set[tuple[str, str]]:
    """Ids and digests of the texts of all pieces of an index that are whole."""
    with TemporaryDirectory(prefix="s3-retriever-") as made:
        pieces = place.pieces(Path(made) / "index")
        return {(entry.id, entry.text) for piece in pieces for entry in piece.contents.entries}


def bank_of(model: str | None, documents: Sequence[Document], depth: Depth | None = None) -> Bank:
    """The bank of a model that has none given: at hand, or made of documents.

    Args:
        model: As for `Plan`.
        documents: Looked at where it must be made.
        depth: As for `s3_retriever.engine.EndogenousIndex.build`.
    """
    return resolve_bank(None, resolve_backbone(model, None), documents, False, depth)
