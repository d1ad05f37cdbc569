"""A text without some of its sentences, as if they had never been written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.codec import JoinedCodes, TokenCodes
from s3_retriever.documents import Document
from s3_retriever.searching.byte_rows import ByteRows
from s3_retriever.searching.passages import Passages
from s3_retriever.searching.scorer import IndexedText
from s3_retriever.searching.tables import OwnTables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.labelled import Evidence


def holding(text: IndexedText, evidence: Sequence[Evidence]) -> np.ndarray:
    """Which sentences hold some of the evidence, white space aside: ``bool[A]``."""
    passages, found = text.passages, np.zeros(len(text.passages), dtype=bool)
    numbers = {document.id: number for number, document in enumerate(text.documents)}
    for place in evidence:
        number = numbers[place.document_id]
        whole, own = text.documents[number].text, passages.of_document(number)
        for sentence in range(own.start, own.stop):
            first = max(int(passages.start[sentence]), place.start)
            last = min(int(passages.end[sentence]), place.end)
            found[sentence] |= bool(whole[first:last].strip()) and first < last
    return found


def without(text: IndexedText, gone: np.ndarray) -> IndexedText | None:
    """A text without some sentences; those that are left are not read again.

    So their keys may still know of what stood before them. Documents of which nothing but white
    space is left are left out; None where that goes for all of them.

    Args:
        text: The whole.
        gone: ``bool[A]``.
    """
    passages, kept = text.passages, ~gone
    for number in range(len(text.documents)):
        own = passages.of_document(number)
        if not _joined(text, number, np.flatnonzero(kept[own]) + own.start).strip():
            kept[own] = False
    if not kept.any():
        return None
    numbers = np.unique(passages.document[kept]).tolist()
    parts = [_shortened(text, number, kept) for number in numbers]
    documents = tuple(document for document, _ in parts)
    codes = JoinedCodes([own for _, own in parts])
    sizes = (passages.end - passages.start)[kept]
    owner = np.searchsorted(numbers, passages.document[kept])
    ends = np.cumsum(sizes)
    begins = (ends - sizes)[np.searchsorted(owner, np.arange(len(numbers)))][owner]
    bounds = np.concatenate([[0], np.cumsum(np.diff(passages.bounds)[kept])])
    starts = ends - sizes - begins
    left = Passages(owner, starts, ends - begins, bounds, passages.header_among(kept))
    known = {"passages": left, "words": text.word_postings.some(kept)}
    if text.bank.sentences is not None:
        known["sums"] = ByteRows.of(text.sums_of(kept))
    return IndexedText(
        documents, left, codes, text.bank, OwnTables(documents, codes, text.bank, **known)
    )


def _joined(text: IndexedText, number: int, sentences: np.ndarray) -> str:
    whole, passages = text.documents[number].text, text.passages
    places = zip(passages.start[sentences], passages.end[sentences], strict=True)
    return "".join(whole[first:last] for first, last in places)


def _shortened(text: IndexedText, number: int, kept: np.ndarray) -> tuple[Document, TokenCodes]:
    """A document's sentences that are kept, and their codes."""
    passages, own = text.passages, text.passages.of_document(number)
    document, codes = text.documents[number], text.codes.parts[number]
    if kept[own].all():
        return document, codes
    sentences = np.flatnonzero(kept[own]) + own.start
    sizes = passages.end[sentences] - passages.start[sentences]
    tokens = np.diff(passages.bounds)
    moved = np.repeat(np.cumsum(sizes) - sizes - passages.start[sentences], tokens[sentences])
    rows = np.repeat(kept[own], tokens[own])
    shortened = TokenCodes(
        latents=codes.latents[rows],
        values=codes.values[rows],
        residual=codes.residual[rows],
        starts=np.maximum(codes.starts[rows] + moved, 0).astype(np.int32),
        ends=(codes.ends[rows] + moved).astype(np.int32),
    )
    return Document(id=document.id, text=_joined(text, number, sentences)), shortened
