"""Which rows belong to which header, as arrays over the sentences of a corpus."""

from __future__ import annotations

import numpy as np

from s3_retriever.text.pieces import Kind

PROSE, RECORD = -1, -2
"""In the place of the number of a header: see `s3_retriever.searching.passages.Passages.header`."""


def kinds_of(header: np.ndarray) -> np.ndarray:
    """The `Kind` of each sentence, ``uint8[A]``.

    Args:
        header: ``int64[A]``, as in `Passages`.
    """
    kinds = np.full(len(header), Kind.ROW, dtype=np.uint8)
    kinds[header == PROSE] = Kind.PROSE
    kinds[header == RECORD] = Kind.RECORD
    kinds[header[header >= 0]] = Kind.HEADER
    return kinds


def headers_of(kinds: np.ndarray, first: np.ndarray) -> np.ndarray:
    """What `Passages.header` says of sentences.

    Args:
        kinds: ``int[A]``, a `Kind` of each sentence.
        first: ``bool[A]``, which begin a document.
    """
    numbers = np.arange(len(kinds))
    last = np.maximum.accumulate(np.where(first | (kinds == Kind.HEADER), numbers, 0))
    header = np.where((kinds == Kind.ROW) & (kinds[last] == Kind.HEADER), last, PROSE)
    header[kinds == Kind.RECORD] = RECORD
    return header


def no_places(sentences: int) -> np.ndarray:
    """Where sentences are put, nowhere yet; `PROSE` and `RECORD`, as indices, stay themselves."""
    places = np.full(sentences + 2, PROSE)
    places[RECORD] = RECORD
    return places
