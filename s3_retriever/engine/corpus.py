"""The documents of an index with their codes, as snapshots that never change."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.codec import JoinedCodes
from s3_retriever.errors import InputError, some_of
from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.cells import make_cells
from s3_retriever.searching.filters import Filter, predicate
from s3_retriever.searching.passages import cut_passages
from s3_retriever.searching.scorer import IndexedText
from s3_retriever.searching.searcher import Searcher
from s3_retriever.searching.sums import SentenceSums

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from s3_retriever.codec import Bank, TokenCodes
    from s3_retriever.documents import Document, Span
    from s3_retriever.searching.cells import Cells

_SEARCHERS_KEPT = 5


class Corpus:
    """An immutable set of documents with their codes.

    A change makes a new corpus, so a search that is under way keeps the one it began with. Codes
    are never copied as a whole: those that are mapped from files stay there.

    Attributes:
        documents: By id, in the order in which they were added.
        codes: By id, likewise.
    """

    def __init__(
        self,
        entries: Iterable[tuple[Document, TokenCodes]],
        bank: Bank,
        sums: SentenceSums | None = None,
    ) -> None:
        pairs = tuple(entries)
        self.documents: Mapping[str, Document] = MappingProxyType(
            {document.id: document for document, _ in pairs}
        )
        self.codes: Mapping[str, TokenCodes] = MappingProxyType(
            {document.id: codes for document, codes in pairs}
        )
        self._bank = bank
        self._sums = sums or SentenceSums()
        self._cells: list[Cells] = []
        self._searchers: OrderedDict[bytes, Searcher] = OrderedDict()
        self._renew_lock()
        renew_after_fork(self, Corpus._renew_lock)

    def _renew_lock(self) -> None:
        self._making, self._cutting = Lock(), Lock()

    def entries(self) -> Iterable[tuple[Document, TokenCodes]]:
        """Each document with its codes."""
        return zip(self.documents.values(), self.codes.values(), strict=True)

    def plus(self, entries: Iterable[tuple[Document, TokenCodes]]) -> Corpus:
        """This corpus and more documents, each in the place of the one that has its id, if any."""
        every = {document.id: (document, codes) for document, codes in (*self.entries(), *entries)}
        return Corpus(every.values(), self._bank, self._sums)

    def has(self, id: str, text: str) -> bool:
        """Whether there is a document with this id and this text."""
        return id in self.documents and self.documents[id].text == text

    def minus(self, ids: Collection[str]) -> Corpus:
        """This corpus without some documents.

        Raises:
            InputError: an id that is not in the corpus.
        """
        unknown = [id for id in ids if id not in self.documents]
        if unknown:
            raise InputError(f"no document has the id {some_of(unknown)}; nothing was deleted")
        kept = (entry for entry in self.entries() if entry[0].id not in ids)
        return Corpus(kept, self._bank, self._sums)

    def searcher(self, filter: Filter | None = None) -> Searcher | None:
        """The searcher of the documents that pass a filter, or None where none does.

        Made when first asked for, and kept: that of all documents, and those of the last few
        filters. What it finds is what a corpus of these documents alone would give.

        Raises:
            InputError: the filter is none.
        """
        keep = self._keep(filter)
        if not keep.any():
            return None
        key = np.packbits(keep).tobytes()
        with self._making:
            if key not in self._searchers:
                self._searchers[key] = self._searcher(np.flatnonzero(keep).tolist())
                if len(self._searchers) > _SEARCHERS_KEPT:
                    self._searchers.popitem(last=False)
            self._searchers.move_to_end(key)
            return self._searchers[key]

    def sources_of(self, spans: Iterable[Span]) -> Mapping[str, Document]:
        """The documents that spans come from, by id."""
        return {span.document_id: self.documents[span.document_id] for span in spans}

    def _keep(self, filter: Filter | None) -> np.ndarray:
        """``bool[documents]``: which documents pass."""
        if filter is None:
            return np.ones(len(self.documents), dtype=bool)
        passes = predicate(filter)
        passed = (passes(document.metadata) for document in self.documents.values())
        return np.fromiter(passed, dtype=bool, count=len(self.documents))

    def _searcher(self, numbers: Sequence[int]) -> Searcher:
        entries = tuple(self.entries())
        documents, codes = zip(*(entries[number] for number in numbers), strict=True)
        text = indexed_text(documents, codes, self._bank, self._sums)
        return Searcher(replace(text, known_cells=lambda: self._cells_of(numbers)))

    def _cells_of(self, numbers: Sequence[int]) -> list[Cells]:
        """The cells of some documents: those of all, made once, with their tokens alone."""
        with self._cutting:
            if not self._cells:
                self._cells = make_cells(self._bank, JoinedCodes(tuple(self.codes.values())))
        bounds = np.cumsum([0, *map(len, self.codes.values())])
        tokens = np.concatenate([np.arange(bounds[n], bounds[n + 1]) for n in numbers])
        return [own.some(tokens) for own in self._cells]


def indexed_text(
    documents: Sequence[Document],
    codes: Sequence[TokenCodes],
    bank: Bank,
    sums: SentenceSums | None = None,
) -> IndexedText:
    """Lay documents with their codes out for a search.

    Args:
        documents: In order; at least one.
        codes: Of each document.
        bank: With which the codes were made.
        sums: Of these documents and others, as far as they were made.
    """
    passages = cut_passages(documents, [own.ends for own in codes])
    joined = JoinedCodes(codes)
    return IndexedText(tuple(documents), passages, joined, bank, sums or SentenceSums())
