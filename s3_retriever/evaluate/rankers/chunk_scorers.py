"""Scores of chunks: BM25, and the cosine of embeddings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from rank_bm25 import BM25Okapi

from s3_retriever.errors import MissingExtraError

if TYPE_CHECKING:
    from s3_retriever.evaluate.rankers.chunks import Chunks
    from s3_retriever.evaluate.rankers.embedders import Embedder
    from s3_retriever.evaluate.rankers.memo import Memo

_WORD = re.compile(r"\w+")


class Scorer(Protocol):
    """Scores all chunks of one corpus.

    Attributes:
        nbytes: Kept besides the texts.
    """

    nbytes: int

    def scores(self, question: str) -> np.ndarray:
        """``f[C]``, higher is better."""
        ...


class Lexical:
    """`rank_bm25.BM25Okapi`; it is made from the texts, and nothing else need be kept.

    Args:
        memo: Remembers the scores of a question.
        chunks: What is scored.
    """

    nbytes = 0

    def __init__(self, memo: Memo, chunks: Chunks) -> None:
        tokens = [words(text) for text in chunks.texts]
        self._memo = memo
        self._ranker = BM25Okapi(tokens if any(tokens) else [[""]] * len(tokens))

    def scores(self, question: str) -> np.ndarray:
        """BM25 of every chunk, ``f64[C]``."""
        return self._memo.get(
            (id(self), question), lambda: np.asarray(self._ranker.get_scores(words(question)))
        )


class Vectors:
    """Embedded chunks in an exact FAISS index of inner products (`IndexFlatIP`).

    Args:
        memo: Remembers the vector and the scores of a question.
        chunks: What is scored.
        embedder: The embedding model.
        progress: Show a bar while the chunks are embedded.

    Raises:
        MissingExtraError: FAISS is not installed.
    """

    def __init__(
        self, memo: Memo, chunks: Chunks, embedder: Embedder, progress: bool = False
    ) -> None:
        faiss = _faiss()
        vectors = np.ascontiguousarray(embedder.texts(chunks.texts, progress), dtype=np.float32)
        self._memo, self._embedder = memo, embedder
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self.nbytes = vectors.nbytes

    def scores(self, question: str) -> np.ndarray:
        """Cosine with every chunk, or what else the model compares by, ``f32[C]``."""
        return self._memo.get((id(self), question), lambda: self._search(question))

    def _search(self, question: str) -> np.ndarray:
        embedder = self._embedder
        vector = self._memo.get((id(embedder), question), lambda: embedder.question(question))
        asked = np.ascontiguousarray(vector[None], dtype=np.float32)
        values, places = self._index.search(asked, self._index.ntotal)
        scores = np.empty(self._index.ntotal, dtype=np.float32)
        scores[places[0]] = values[0]
        return scores


def words(text: str) -> list[str]:
    r"""Lower-cased ``\w+``: the words of the plain BM25 baseline."""
    return _WORD.findall(text.lower())


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError(
            'comparing with embeddings needs FAISS: pip install "s3-retriever[eval]"'
        ) from error
    return faiss
