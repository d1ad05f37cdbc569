"""Vectors of an embedding model that are kept on disk, so that a run goes on where one ended."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TOGETHER = 64  # passages that are embedded and kept at a time


class KeptVectors(SentenceEmbedder):
    """An embedding model that remembers what it has read.

    Args:
        folder: As sentence-transformers saves it.
        kept: A folder for what it has read; one file for each model.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        super().__init__(folder)
        kept.mkdir(parents=True, exist_ok=True)
        self._kept = sqlite3.connect(kept / f"{self.name}.sqlite", isolation_level=None)
        self._kept.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")

    def texts(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """As `SentenceEmbedder.texts`; what was read before is not read again."""
        known = {text: self._known(text) for text in texts}
        missing = sorted((text for text, vector in known.items() if vector is None), key=len)
        firsts = range(0, len(missing), _TOGETHER)
        for first in tqdm(firsts, desc=self.name, disable=not progress or not missing):
            block = missing[first : first + _TOGETHER]
            for text, vector in zip(block, super().texts(block), strict=True):
                row = vector.astype(np.float32)
                self._kept.execute(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)", (_key(text), row.tobytes())
                )
                known[text] = row
        return np.stack([known[text] for text in texts])

    def _known(self, text: str) -> np.ndarray | None:
        found = self._kept.execute("SELECT vector FROM vectors WHERE key = ?", (_key(text),))
        row = found.fetchone()
        return None if row is None else np.frombuffer(row[0], np.float32)


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
