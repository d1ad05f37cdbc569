"""The documents of an index with their codes, as snapshots that never change."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from s3_retriever.codec import JoinedCodes
from s3_retriever.engine.parts import parts_of
from s3_retriever.errors import InputError, some_of
from s3_retriever.fork import renew_after_fork
from s3_retriever.searching.candidate_attention import CandidateAttention
from s3_retriever.searching.filters import Filter, predicate
from s3_retriever.searching.group import Group
from s3_retriever.searching.passages import cut_passages
from s3_retriever.searching.scorer import IndexedText
from s3_retriever.searching.searcher import Searcher
from s3_retriever.searching.tables import JoinedTables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from s3_retriever.codec import Bank, TokenCodes
    from s3_retriever.documents import Document, Span
    from s3_retriever.engine.parts import Part
    from s3_retriever.searching.candidates import CandidateGenerator

Candidates: TypeAlias = "Callable[[IndexedText], CandidateGenerator]"
"""Makes, of a text, what names the sentences worth scoring."""

_SEARCHERS_KEPT = 5


class Corpus:
    """An immutable set of documents with their codes.

    A change makes a new corpus, so a search that is under way keeps the one it began with. What is
    added becomes a part of its own, and what is deleted is left out of its part: codes are not
    copied, and what was made of them and of the text is not made again.

    Args:
        parts: The documents, some of them together.
        bank: With which their codes were made.
        group: Of what is searched with them as one; nothing by default.

    Attributes:
        parts: Those in which there are documents.
        documents: By id, in the order in which they were added.
        codes: By id, likewise.
    """

    def __init__(self, parts: Iterable[Part], bank: Bank, group: Group | None = None) -> None:
        self.parts = tuple(part for part in parts if len(part))
        pairs = [pair for part in self.parts for pair in part.entries()]
        self.documents: Mapping[str, Document] = MappingProxyType(
            {document.id: document for document, _ in pairs}
        )
        self.codes: Mapping[str, TokenCodes] = MappingProxyType(
            {document.id: codes for document, codes in pairs}
        )
        self._bank, self._group = bank, group
        self._searchers: OrderedDict[tuple[bytes, Candidates | None], Searcher] = OrderedDict()
        self._renew_lock()
        renew_after_fork(self, Corpus._renew_lock)

    def _renew_lock(self) -> None:
        self._making = Lock()

    def plus(self, entries: Iterable[tuple[Document, TokenCodes]]) -> Corpus:
        """This corpus and more documents; one with the id of another takes its place."""
        more = tuple(entries)
        replaced = {document.id for document, _ in more} & self.documents.keys()
        kept = self.minus(replaced).parts if replaced else self.parts
        return Corpus((*kept, *parts_of(more, self._bank)), self._bank)

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
        return Corpus((part.without(ids) for part in self.parts), self._bank)

    def searcher(
        self, filter: Filter | None = None, candidates: Candidates | None = None
    ) -> Searcher | None:
        """The searcher of the documents that pass a filter, or None where none does.

        Made when first asked for, and kept: that of all documents, and those of the last few
        filters. What it finds is what a corpus of these documents alone would give.

        Args:
            filter: As for `EndogenousIndex.search`.
            candidates: What names the sentences worth scoring, in the place of a first look.

        Raises:
            InputError: the filter is none.
        """
        keep = self._keep(filter)
        if not keep.any():
            return None
        key = np.packbits(keep).tobytes(), candidates
        with self._making:
            if key not in self._searchers:
                self._searchers[key] = self._searcher(keep, candidates)
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

    def _searcher(self, keep: np.ndarray, candidates: Candidates | None) -> Searcher:
        ends = np.cumsum([len(part) for part in self.parts])[:-1]
        chosen = [
            part.only(own)
            for part, own in zip(self.parts, np.split(keep, ends), strict=True)
            if own.any()
        ]
        text = joined_text(chosen, self._bank, self._group)
        if candidates is None:
            return Searcher(text)
        return Searcher(
            text, candidates=candidates(text), scorers={"attention": CandidateAttention(text)}
        )


def joined_text(parts: Sequence[Part], bank: Bank, group: Group | None = None) -> IndexedText:
    """Lay parts out for a search, by what is known of each.

    Args:
        parts: At least one, with at least one document each.
        bank: With which the codes were made.
        group: As for `Corpus`.
    """
    pairs = [pair for part in parts for pair in part.entries()]
    documents, codes = zip(*pairs, strict=True)
    tables = JoinedTables([(part.tables, part.chosen) for part in parts])
    searched_with = group or Group()
    return IndexedText(
        documents, tables.passages, JoinedCodes(codes), bank, tables, group=searched_with
    )


def indexed_text(
    documents: Sequence[Document], codes: Sequence[TokenCodes], bank: Bank
) -> IndexedText:
    """Lay documents with their codes out for a search.

    Args:
        documents: In order; at least one.
        codes: Of each document.
        bank: With which the codes were made.
    """
    passages = cut_passages(documents, [own.ends for own in codes])
    return IndexedText(tuple(documents), passages, JoinedCodes(codes), bank)
