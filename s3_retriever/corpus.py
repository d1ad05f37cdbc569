"""The documents of an index with their codes, as snapshots that never change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.filters import Filter, matches
from s3_retriever.search import Searcher

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.postings import Postings
    from s3_retriever.scan import TokenCodes

_NAMED = 5


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
            raise InputError(f"no document has the id {_listed(unknown)}; nothing was deleted")
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


def as_documents(items: Iterable[Document | str], taken: Collection[str] = ()) -> list[Document]:
    """Turn texts into documents and make sure that all can be indexed.

    Args:
        items: Documents, or texts, which are given the ids ``"0"``, ``"1"`` and so on, skipping
            those that are taken.
        taken: Ids already in the index.

    Raises:
        InputError: something that is neither, an id that is taken or comes twice, or a text
            or an id that is no valid Unicode.
    """
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping):
        kind = type(items).__name__
        raise InputError(f"documents must be a list of Document or str, not one {kind}; wrap it")
    items = list(items)
    ids = [item.id for item in items if isinstance(item, Document)]
    numbers = Counter(ids)
    repeated = [id for id, number in numbers.items() if number > 1 or id in taken]
    if repeated:
        raise InputError(
            f"duplicate document id {_listed(repeated)}; nothing was added: "
            "delete the old document first, or choose other ids"
        )
    free = (str(n) for n in count(len(taken)) if str(n) not in taken and str(n) not in numbers)
    return [_as_document(item, place, free) for place, item in enumerate(items)]


def _as_document(item: Document | str, place: int, free: Iterable[str]) -> Document:
    if isinstance(item, str):
        item = Document(id=next(iter(free)), text=item)
    if not isinstance(item, Document):
        kind = type(item).__name__
        raise InputError(f"documents[{place}] must be a Document or a str, not {kind}")
    for text, what in ((item.id, f"the id {item.id!r}"), (item.text, f"document {item.id!r}")):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{what} holds half a character (a lone surrogate) at {error.start}; "
                'decode its bytes with errors="replace"'
            ) from error
    return item


def _listed(ids: list[str]) -> str:
    named = ", ".join(repr(id) for id in ids[:_NAMED])
    return f"{named} and {len(ids) - _NAMED} more" if len(ids) > _NAMED else named
