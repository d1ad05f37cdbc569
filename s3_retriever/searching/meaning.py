"""Scores of sentences by what they mean: vectors made of the codes, and one of the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.sums import head_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from s3_retriever.config import Weighing
    from s3_retriever.searching.scorer import Asked, IndexedText


class MeaningScorer:
    """Cosine of a sentence, with what stands near it, and the question.

    The vectors are those of `s3_retriever.codec.sentences`.

    Args:
        text: What is searched.
        sums: ``f32[A, E]`` of its sentences, see `s3_retriever.searching.sums`; those of its codes
            by default.

    Raises:
        InputError: the bank has no head for it.
    """

    def __init__(self, text: IndexedText, sums: Tensor | None = None) -> None:
        self._text, self._head = text, head_of(text.bank)
        self._sums = text.sums if sums is None else sums
        self._near: tuple[float, Tensor] | None = None  # half: reading them is what takes time

    def scores(self, asked: Sequence[Asked], candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """See `s3_retriever.searching.scorer.Scorer`."""
        calibration = self._text.bank.calibration
        asks = [self._head.question(calibration.queries(question.queries)) for question in asked]
        vectors = self._vectors(weighing.meaning_reach)
        cosines = torch.stack([vectors @ own.half() for own in asks], 1).float()
        return standardise(cosines, self._text.group).T[:, torch.from_numpy(candidates)]

    def _vectors(self, reach: float) -> Tensor:
        """``f16[A, E]`` of length 1; no question has a part in them, so the last are kept."""
        kept = self._near
        if kept is None or kept[0] != reach:
            near = self._text.passages.spread(self._sums, reach)
            self._near = kept = reach, normalize(near, dim=1).half()
        return kept[1]
