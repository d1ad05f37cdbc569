"""The rankers that are compared, each over the materials of one bench."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np

from s3_retriever.config import SearchConfig, Weighing
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.engine.flow import find
from s3_retriever.evaluate.rankers.dense import dense_scorers, four_bits, published
from s3_retriever.evaluate.rankers.hits import DEPTH, Hit
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s3_retriever.config import SearchSettings
    from s3_retriever.documents import Span
    from s3_retriever.evaluate.rankers.bench import Bench
    from s3_retriever.evaluate.rankers.chunk_scorers import Scorer
    from s3_retriever.evaluate.rankers.chunks import Chunks
    from s3_retriever.evaluate.rankers.embedders import Embedder

RRF_K = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""


class IndexRanker:
    """Ours, through `EndogenousIndex.search`."""

    def __init__(self, bench: Bench, **settings: Unpack[SearchSettings]) -> None:
        self._index = copy(bench.index())  # which has read no question yet
        self._settings: SearchSettings = {**settings, "k": DEPTH, "relevance": False}
        self.nbytes = self._index.stats.index_bytes

    def rank(self, question: str) -> list[Hit]:
        """The spans of a search that asks for `DEPTH` of them."""
        found = self._index.search(question, **self._settings)
        return as_hits(found.spans)


class SearcherRanker:
    """A variant of ours that the engine does not offer, through a `Searcher`."""

    def __init__(self, bench: Bench, searcher: Searcher, config: SearchConfig, nbytes: int) -> None:
        self._reader, self._searcher = bench.reader, searcher
        self._config = config.replace(relevance=False)  # of a hundred spans, which nobody asks for
        self.nbytes = nbytes

    def rank(self, question: str) -> list[Hit]:
        """The spans of a search that asks for `DEPTH` of them."""
        (found,) = find(self._reader, self._searcher, [question], self._config)
        return as_hits(found.spans)


def dense(bench: Bench, *, bm25: bool, bits: Literal[4, 16] = 16) -> SearcherRanker:
    """Late interaction with dense keys, at 16 or 4 bits a number."""
    keys = bench.keys()
    size = keys.numel() * bits // 8
    if bits == 4:
        keys = bench.memo.get("keys of 4 bits", lambda: four_bits(bench.keys()))
    text = indexed_text(bench.documents, bench.places, bench.bank)
    searcher = Searcher(text, scorers=dense_scorers(text, keys))
    config = SearchConfig(k=DEPTH, scoring="dense", bm25=bm25)
    return SearcherRanker(bench, searcher, config, size)


def codes_alone(bench: Bench) -> SearcherRanker:
    """Attention through the latents, without the residual that is kept beside them."""
    codes, bank = bench.codes(), replace(bench.bank, residual=None)
    searcher = Searcher(indexed_text(bench.documents, codes, bank))
    nbytes = sum(part.nbytes - part.residual.nbytes for part in codes)
    return SearcherRanker(bench, searcher, SearchConfig(k=DEPTH, bm25=False), nbytes)


def paper(bench: Bench) -> SearcherRanker:
    """Co-activation with the raw query, as published."""
    codes = bench.codes()
    searcher = Searcher(indexed_text(bench.documents, codes, published(bench.bank)))
    config = SearchConfig(
        k=DEPTH,
        scoring="coactivation",
        bm25=False,
        second_hop=False,
        weighing=Weighing(meaning=0),
    )
    nbytes = sum(part.nbytes - part.residual.nbytes for part in codes)
    return SearcherRanker(bench, searcher, config, nbytes)


def as_hits(spans: Iterable[Span]) -> list[Hit]:
    """Spans as hits."""
    return [Hit(span.document_id, span.start, span.end, span.score) for span in spans]


class ChunkRanker:
    """Ranks chunks by one score, or by several through reciprocal rank fusion.

    Args:
        chunks: What is ranked.
        scorers: Of these chunks.
        smooth: Let neighbouring chunks share their scores; see `Chunks.smooth`.
    """

    def __init__(self, chunks: Chunks, scorers: Sequence[Scorer], *, smooth: bool) -> None:
        self._chunks, self._scorers, self._smooth = chunks, scorers, smooth
        self.nbytes = sum(scorer.nbytes for scorer in scorers)

    def rank(self, question: str) -> list[Hit]:
        """The best chunks."""
        scores = [scorer.scores(question) for scorer in self._scorers]
        if self._smooth:
            scores = [self._chunks.smooth(values) for values in scores]
        return self._chunks.hits(scores[0] if len(scores) == 1 else reciprocal_ranks(scores))


def reciprocal_ranks(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Sum of ``1 / (60 + rank)`` over several scores of the same things, ``f64[C]``."""
    total = np.zeros(len(scores[0]))
    for values in scores:
        order = np.argsort(-values, kind="stable")
        total[order] += 1 / (RRF_K + 1 + np.arange(len(order)))
    return total


def bm25(bench: Bench, *, size: int, smooth: bool) -> ChunkRanker:
    """BM25 over chunks."""
    return ChunkRanker(bench.chunks(size), [bench.bm25(size)], smooth=smooth)


def embedding(bench: Bench, embedder: Embedder, *, size: int, smooth: bool) -> ChunkRanker:
    """Cosine of embeddings over chunks, exact, by FAISS."""
    return ChunkRanker(bench.chunks(size), [bench.vectors(size, embedder)], smooth=smooth)


def hybrid(bench: Bench, embedder: Embedder, *, size: int, smooth: bool) -> ChunkRanker:
    """BM25 and embeddings by reciprocal rank fusion."""
    scorers: list[Scorer] = [bench.bm25(size), bench.vectors(size, embedder)]
    return ChunkRanker(bench.chunks(size), scorers, smooth=smooth)
