"""Passages and tokens of made-up sizes, for tests of scoring and spans."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.codec import Codes, JoinedCodes
from s3_retriever.codec.codes import TokenCodes
from s3_retriever.documents import Document
from s3_retriever.searching.passages import Passages
from s3_retriever.searching.scorer import IndexedText
from s3_retriever.searching.tables import OwnTables

if TYPE_CHECKING:
    from s3_retriever.searching.bm25 import WordPostings


def token_codes(starts: Any, ends: Any) -> TokenCodes:
    none = np.empty((len(starts), 0), dtype=np.uint8)
    offsets = (np.asarray(side, dtype=np.int32) for side in (starts, ends))
    return TokenCodes(none, none, none, *offsets)


def joined(codes: Codes, *cuts: int) -> JoinedCodes:
    """Codes as those of documents that end at some tokens and at the last."""
    bounds = [0, *cuts, len(codes.values)]
    arrays = [part.numpy() for part in (codes.latents, codes.values, codes.residual)]
    parts = []
    for first, last in itertools.pairwise(bounds):
        places = np.arange(last - first, dtype=np.int32)
        own = (array[first:last] for array in arrays)
        parts.append(TokenCodes(*own, places, places + 1))
    return JoinedCodes(parts)


def lexical_text(passages: Passages, postings: WordPostings) -> IndexedText:
    """A text of which sentences and words are known, and nothing else; its letters are an x."""
    length = max(int(passages.end.max()), 1)
    numbers = range(int(passages.document[-1]) + 1)
    documents = tuple(Document(str(number), "x" * length) for number in numbers)
    none: Any = None
    tables = OwnTables(documents, none, none, passages=passages, words=postings)
    return IndexedText(documents, passages, none, none, tables)


def some_passages(sizes: list[list[int]]) -> Passages:
    """Documents of sentences with so many characters each, a token to every ten."""
    document = np.repeat(np.arange(len(sizes)), [len(rows) for rows in sizes])
    ends = [np.cumsum(rows) for rows in sizes]
    end = np.concatenate(ends)
    start = np.concatenate([np.concatenate([[0], rows[:-1]]) for rows in ends])
    tokens = np.maximum((end - start) // 10, 1)
    bounds = np.concatenate([[0], np.cumsum(tokens)])
    return Passages(document, start, end, bounds, np.full(len(document), -1))
