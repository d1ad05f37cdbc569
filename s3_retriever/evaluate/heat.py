"""Where a score came from: the attention that each token of the text received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.codec import JoinedCodes, QueryWeights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.codec import Bank
    from s3_retriever.codec.codes import TokenCodes
    from s3_retriever.documents import Document
    from s3_retriever.evaluate.rankers.hits import Hit


_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Heat:
    """The tokens of one hit.

    Attributes:
        ends: ``int32[t]``, one past the last character of each token, from the hit's start; what
            lies between the tokens belongs to the one that follows.
        mass: ``f32[t]``, attention of each token; see `token_mass`.
    """

    ends: np.ndarray
    mass: np.ndarray


def token_mass(queries: Tensor, bank: Bank, codes: JoinedCodes) -> Tensor:
    """Attention that each text token receives from a question, through the codes.

    ``Σ_h w_h Σ_i softmax_t s_h(i, t)`` with the weights of the heads summing to 1, so that all
    tokens together receive as much as the question has tokens.

    Args:
        queries: ``f32[n, H, d]`` of the question's tokens.
        bank: With which the codes were made.
        codes: Of the T tokens of the text.

    Returns:
        ``f32[T]``.
    """
    calibration, count = bank.calibration, len(queries)
    asking = QueryWeights(bank, queries)
    slices = [slice(at, at + _BLOCK) for at in range(0, len(codes), _BLOCK)]
    mass = torch.softmax(torch.cat([asking.logits(codes.rows(part)) for part in slices]), 0)
    return mass.view(len(mass), -1, count).sum(2) @ calibration.head_shares


class HeatMap:
    """Gives the heat of hits in one corpus.

    Args:
        documents: In order.
        codes: Of each document.
        bank: With which the codes were made.
    """

    def __init__(
        self, documents: Sequence[Document], codes: Sequence[TokenCodes], bank: Bank
    ) -> None:
        self._bank = bank
        self._places = {document.id: part for document, part in zip(documents, codes, strict=True)}
        self._codes = JoinedCodes(codes)
        self._first = dict(zip(self._places, self._codes.bounds.tolist(), strict=False))

    def of(self, queries: Tensor, hits: Sequence[Hit]) -> tuple[Heat, ...]:
        """The heat of each hit, for one question's queries ``f32[n, H, d]``."""
        mass = token_mass(queries, self._bank, self._codes).numpy()
        return tuple(self._heat(mass, hit) for hit in hits)

    def _heat(self, mass: np.ndarray, hit: Hit) -> Heat:
        places, first = self._places[hit.document_id], self._first[hit.document_id]
        begin = int(np.searchsorted(places.ends, hit.start, side="right"))
        stop = max(int(np.searchsorted(places.starts, hit.end, side="left")), begin)
        ends = np.minimum(places.ends[begin:stop], hit.end) - hit.start
        return Heat(ends.astype(np.int32), mass[first + begin : first + stop])
