"""Scores of whole documents: where to look.

The words of a question that name a document ask for it alone, and have no part in what is asked of
its sentences; all others ask at both scales.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from s3_retriever.searching.attention import coded_logits, share_blocks
from s3_retriever.searching.fusion import standardise
from s3_retriever.text.words import asked_words, codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.attention import LogitsOf
    from s3_retriever.searching.first_look import CellAttention
    from s3_retriever.searching.scorer import Asked, IndexedText


class _Documents(ABC):
    """Gives every sentence the score of its document; subclasses say whose, and for what."""

    def __init__(self, text: IndexedText) -> None:
        self._text = text

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`; all 0 where nothing asks for a document."""
        return torch.stack([self._over_sentences(question)[candidates] for question in asked])

    def _over_sentences(self, asked: Asked) -> Tensor:
        named = self._asks(asked)
        if named is None:
            return torch.zeros(len(self._text.passages))
        found = self._found(named)[torch.from_numpy(self._text.passages.document)]
        return standardise(found, self._text.group)

    def _asks(self, asked: Asked) -> Asked | None:
        """What asks for a document."""
        return asked

    @abstractmethod
    def _found(self, asked: Asked) -> Tensor:
        """``f32[D]``, of each document."""


class _Named(_Documents):
    """The words that name a document ask, where there are any."""

    def _asks(self, asked: Asked) -> Asked | None:
        return asked.place


class LexicalDocumentScorer(_Documents):
    """BM25 of whole documents."""

    def _found(self, asked: Asked) -> Tensor:
        own = asked_words(asked.text, self._text.spoken)
        holding, scores = self._text.document_bm25.scores([*own, *codes(asked.text)])
        found = torch.zeros(len(self._text.documents))
        found[torch.from_numpy(holding)] = torch.from_numpy(scores).float()
        return found


class LexicalPlaceScorer(_Named, LexicalDocumentScorer):
    """BM25 of whole documents for the words that name one."""


class AttentionDocumentScorer(_Documents):
    """Attention of each token, wherever in the document it finds something.

    A token counts the greatest share of its attention that a sentence of the document gets.

    Args:
        text: What is searched.
        logits: As for `s3_retriever.searching.attention.AttentionScorer`.
    """

    def __init__(self, text: IndexedText, logits: LogitsOf | None = None) -> None:
        super().__init__(text)
        self._logits = logits or coded_logits(text)

    def _found(self, asked: Asked) -> Tensor:
        text, calibration = self._text, self._text.bank.calibration
        sums = torch.zeros(len(text.documents), len(calibration.heads))
        document = torch.from_numpy(text.passages.document)[:, None, None]
        for _, shares in share_blocks(text, self._logits, [asked]):
            best = torch.zeros(len(text.documents), *shares.shape[1:])
            best.scatter_reduce_(0, document.expand_as(shares), shares, "amax")
            sums += best.sum(2)
        return standardise(sums, text.group) @ calibration.head_shares


class AttentionPlaceScorer(_Named, AttentionDocumentScorer):
    """Attention of the tokens that name a document."""


class CellDocumentScorer(_Documents):
    """`AttentionDocumentScorer` as cells tell it, without a look at each token.

    Args:
        text: What is searched.
        attention: Of questions over it.
    """

    def __init__(self, text: IndexedText, attention: CellAttention) -> None:
        super().__init__(text)
        self._attention = attention

    def _found(self, asked: Asked) -> Tensor:
        return self._attention.look(asked).documents()


class CellPlaceScorer(_Named, CellDocumentScorer):
    """`AttentionPlaceScorer` likewise."""
