"""Where a score came from: the attention that each token of the text received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from s3_retriever.searching.attention import CodedQueries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.codec import Bank, JoinedCodes
    from s3_retriever.documents import Document

_BLOCK = 4096


class Place(Protocol):
    """A piece of a document, as spans and hits are."""

    @property
    def document_id(self) -> str:
        """Id of the document."""
        ...

    @property
    def start(self) -> int:
        """First character."""
        ...

    @property
    def end(self) -> int:
        """One past the last character."""
        ...


@dataclass(frozen=True, slots=True)
class Heat:
    """What the t tokens of one piece of text received.

    Attributes:
        ends: ``int32[t]``, one past the last character of each token, from the piece's start; what
            lies between the tokens belongs to the one that follows.
        shares: ``f32[t, n]``, of the attention of each of the question's n tokens; see `HeatMap`.
    """

    ends: np.ndarray
    shares: np.ndarray

    @property
    def mass(self) -> np.ndarray:
        """``f32[t]``, what each token received from the whole question."""
        total: np.ndarray = self.shares.sum(1)
        return total


class HeatMap:
    """Gives the heat of pieces of one text.

    Of the attention of question token i, text token t has the share ``Σ_h w_h softmax_t s_h(i, t)``
    with the weights of the heads summing to 1 and the logits s through the codes, so that all
    tokens of the text together receive 1 from every question token.

    Args:
        documents: In order.
        codes: Of their T tokens, document by document.
        bank: With which the codes were made.
    """

    def __init__(self, documents: Sequence[Document], codes: JoinedCodes, bank: Bank) -> None:
        self._codes, self._bank = codes, bank
        self._numbers = {document.id: number for number, document in enumerate(documents)}

    def of(self, queries: Tensor, places: Sequence[Place]) -> tuple[Heat, ...]:
        """The heat of each place.

        The text is passed over once, in blocks, for the sums of the softmax; what is held does not
        grow with it.

        Args:
            queries: ``f32[n, H, d]`` of the question's tokens, before rotary embedding.
            places: Pieces of these documents.
        """
        asking = CodedQueries(self._bank, queries)
        log_mass = self._log_mass(asking)
        return tuple(self._heat(asking, log_mass, place) for place in places)

    def _log_mass(self, asking: CodedQueries) -> Tensor:
        """Logarithm of the sum of each softmax, ``f32[H · n]``."""
        total = torch.full((), -torch.inf)
        for start in range(0, len(self._codes), _BLOCK):
            block = asking.logits(self._codes.rows(slice(start, start + _BLOCK)))
            total = torch.logaddexp(total, torch.logsumexp(block, 0))
        return total

    def _heat(self, asking: CodedQueries, log_mass: Tensor, place: Place) -> Heat:
        number = self._numbers[place.document_id]
        own, first = self._codes.parts[number], int(self._codes.bounds[number])
        begin = int(np.searchsorted(own.ends, place.start, side="right"))
        stop = max(int(np.searchsorted(own.starts, place.end, side="left")), begin)
        ends = np.minimum(own.ends[begin:stop], place.end) - place.start
        weights = self._bank.calibration.head_shares
        if begin == stop:
            return Heat(
                ends.astype(np.int32), np.zeros((0, len(log_mass) // len(weights)), np.float32)
            )
        logits = asking.logits(self._codes.rows(slice(first + begin, first + stop)))
        shares = torch.exp(logits - log_mass).view(len(logits), len(weights), -1)
        return Heat(ends.astype(np.int32), torch.einsum("thn,h->tn", shares, weights).numpy())
