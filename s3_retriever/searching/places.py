"""Scores of whole documents: where to look.

The words of a question that name a document ask for it alone, and have no part in what is asked of
its sentences; all others ask at both scales.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

import torch

from s3_retriever.searching.attention import coded_logits
from s3_retriever.searching.candidate_attention import shares_among
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.sharing import sharing, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.attention import LogitsOf
    from s3_retriever.searching.scorer import Asked, IndexedText

SENTENCES = 100
"""Sentences whose codes are read to tell documents apart by attention."""


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
        holding, scores = self._text.document_bm25.scores(words_of(asked, self._text))
        found = torch.zeros(len(self._text.documents))
        found[torch.from_numpy(holding)] = torch.from_numpy(scores).float()
        return found


class LexicalPlaceScorer(_Named, LexicalDocumentScorer):
    """BM25 of whole documents for the words that name one."""


class AttentionDocumentScorer(_Documents):
    """Attention of each token, wherever in the document it finds something.

    It is spent on the sentences that share most words with what asks, by BM25, and theirs are the
    only codes that are read: a key of an early layer is mostly its token, so that others add noise.
    A token counts the greatest share of its attention that one of a document's sentences gets.

    Args:
        text: What is searched.
        logits: Makes what gives the logits at the tokens of some sentences ``int64[C]``, end to
            end; `coded_logits` by default.
    """

    def __init__(
        self, text: IndexedText, logits: Callable[[np.ndarray], LogitsOf] | None = None
    ) -> None:
        super().__init__(text)
        self._logits = logits or partial(coded_logits, text)

    def _found(self, asked: Asked) -> Tensor:
        text, calibration = self._text, self._text.bank.calibration
        read = sharing(text, asked, SENTENCES)
        document = torch.from_numpy(text.passages.document[read])[:, None, None]
        sums = torch.zeros(len(text.documents), len(calibration.heads))
        for shares in shares_among(text, self._logits(read), asked, read):
            best = torch.zeros(len(text.documents), *shares.shape[1:])
            best.scatter_reduce_(0, document.expand_as(shares), shares, "amax")
            sums += best.sum(2)
        return standardise(sums, text.group) @ calibration.head_shares


class AttentionPlaceScorer(_Named, AttentionDocumentScorer):
    """Attention of the tokens that name a document."""
