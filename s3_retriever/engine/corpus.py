"""The documents of an index with their codes, as snapshots that never change."""

from __future__ import annotations

from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.errors import InputError, some_of
from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.filters import Filter, matches
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes
    from s3_retriever.documents import Document
    from s3_retriever.searching.postings import Postings


class Corpus:
    """An immutable set of documents with their codes.

    A change makes a new corpus, so a search that is under way keeps the one it began with. Codes
    are laid end to end for the first search, and held once: `codes` are views from then on.

    Attributes:
        documents: By id, in the order in which they were added.
        codes: By id, likewise.
        postings: Their inverted index, one entry for each SAE, where it was built during the scan.
    """

    def __init__(
        self,
        entries: Iterable[tuple[Document, TokenCodes]],
        bank: Bank,
        postings: Sequence[Postings] | None = None,
    ) -> None:
        pairs = tuple(entries)
        self.documents = MappingProxyType({document.id: document for document, _ in pairs})
        self.codes = _by_id(self.documents.values(), [codes for _, codes in pairs])
        self.postings = postings
        self._bank = bank
        self._searcher: Searcher | None = None
        self._renew_lock()
        renew_after_fork(self, Corpus._renew_lock)

    def _renew_lock(self) -> None:
        self._making = Lock()

    def entries(self) -> Iterable[tuple[Document, TokenCodes]]:
        """Each document with its codes."""
        return zip(self.documents.values(), self.codes.values(), strict=True)

    def plus(
        self,
        entries: Iterable[tuple[Document, TokenCodes]],
        postings: Sequence[Postings] | None = None,
    ) -> Corpus:
        """This corpus and more documents, with the inverted index of all, if there is one."""
        return Corpus((*self.entries(), *entries), self._bank, postings)

    def minus(self, ids: Collection[str]) -> Corpus:
        """This corpus without some documents.

        Raises:
            InputError: an id that is not in the corpus.
        """
        unknown = [id for id in ids if id not in self.documents]
        if unknown:
            raise InputError(f"no document has the id {some_of(unknown)}; nothing was deleted")
        kept = (entry for entry in self.entries() if entry[0].id not in ids)
        return Corpus(kept, self._bank)

    def searcher(self) -> Searcher:
        """The view that ranks spans, made when first asked for."""
        with self._making:
            if self._searcher is None:
                documents, codes = tuple(self.documents.values()), tuple(self.codes.values())
                self._searcher = Searcher(documents, codes, self._bank, self.postings)
                self.codes = _by_id(documents, self._searcher.codes)
            return self._searcher

    def keep(self, filter: Filter | None) -> np.ndarray | None:
        """bool[documents]: which documents pass a filter; None where there is no filter."""
        if filter is None:
            return None
        passed = (matches(filter, document.metadata) for document in self.documents.values())
        return np.fromiter(passed, dtype=bool, count=len(self.documents))


def _by_id(documents: Iterable[Document], codes: Iterable[TokenCodes]) -> Mapping[str, TokenCodes]:
    both = zip(documents, codes, strict=True)
    return MappingProxyType({document.id: own for document, own in both})
