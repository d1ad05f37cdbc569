"""Spans as sparse vectors: which latents are active in them, as a learned sparse retriever has it.

A span's vector has, for each latent, the greatest activation of its tokens (or their sum), times
how rare the latent is; a question's has how strongly its tokens attend to each latent. Their
product is what a vector database can rank by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np
import torch

from s3_retriever.codec.query_weights import QueryWeights
from s3_retriever.searching.postings import rarity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from s3_retriever.codec import Bank, Codes
    from s3_retriever.searching.passages import Passages
    from s3_retriever.searching.scorer import IndexedText

Pooling: TypeAlias = Literal["max", "sum"]

SPAN_CHARACTERS = 500
"""Of a pooled span, unless its only sentence is longer."""

KEPT = 128
"""Latents of a span or a question, those of most weight."""

_BLOCK_NUMBERS = 2**22
_BLOCK_TOKENS = 2**16


@dataclass(frozen=True, eq=False)
class PooledSpans:
    """P runs of whole sentences, each of one document, that tile a text.

    Attributes:
        first: ``int64[P]``, first sentence.
        last: ``int64[P]``, one past the last.
    """

    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, passages: Passages, characters: int = SPAN_CHARACTERS) -> Self:
        """Pack sentences, as many as do not exceed so many characters."""
        firsts: list[int] = []
        begin, document = 0, -1
        rows = zip(
            passages.document.tolist(), passages.start.tolist(), passages.end.tolist(), strict=True
        )
        for number, (home, start, end) in enumerate(rows):
            if home != document or end - begin > characters:
                firsts.append(number)
                begin, document = start, home
        first = np.array(firsts, dtype=np.int64)
        return cls(first, np.append(first[1:], len(passages)))

    def __len__(self) -> int:
        return len(self.first)


def pooled_vectors(
    text: IndexedText, spans: PooledSpans, pooling: Pooling = "max", kept: int = KEPT
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The vectors of spans, in order.

    Args:
        text: What they are of.
        spans: P spans.
        pooling: What a latent has in a span: the greatest of its activations, or their sum.
        kept: At most so many latents of each.

    Yields:
        Numbers of latents, counted through all SAEs, ``int64[m]`` ascending, and their weights
        ``f32[m]``, more than 0.
    """
    rarity = torch.from_numpy(_rarity(text)).float()
    bounds, size = text.passages.bounds, len(rarity)
    step = max(_BLOCK_NUMBERS // size, 1)
    for begin in range(0, len(spans), step):
        first, last = spans.first[begin : begin + step], spans.last[begin : begin + step]
        tokens = slice(int(bounds[first[0]]), int(bounds[last[-1]]))
        owner = np.repeat(np.arange(len(first)), bounds[last] - bounds[first])
        active, values = _active(text.bank, text.codes.rows(tokens))
        place = (torch.from_numpy(owner)[:, None] * size + active).flatten()
        whole = torch.zeros(len(first) * size)
        whole.scatter_reduce_(0, place, values.flatten(), "amax" if pooling == "max" else "sum")
        weights = whole.view(len(first), size) * rarity
        for row in weights:
            yield _heaviest(row, kept)


def asked_vector(bank: Bank, queries: Tensor, kept: int = KEPT) -> tuple[np.ndarray, np.ndarray]:
    """The vector of a question, as `pooled_vectors` has them.

    A latent has what question tokens attend to it by (`QueryWeights`), the mean of all heads,
    added up where it is more than 0.

    Args:
        bank: With which the text was encoded.
        queries: ``f32[n, H, d]``, before rotary embedding.
        kept: At most so many latents.
    """
    shares = bank.calibration.head_shares
    rows = [
        torch.einsum("fhn,h->fn", own.view(len(own), len(shares), -1), shares).clamp_min(0).sum(1)
        for own in QueryWeights(bank, queries).latents
    ]
    return _heaviest(torch.cat(rows), kept)


def _heaviest(weights: Tensor, kept: int) -> tuple[np.ndarray, np.ndarray]:
    found = torch.topk(weights, min(kept, len(weights))).indices.sort().values
    found = found[weights[found] > 0]
    return found.numpy(), weights[found].numpy()


def _active(bank: Bank, codes: Codes) -> tuple[Tensor, Tensor]:
    """Latents of tokens, counted through all SAEs, ``int64[t, S]``, and activations ``f32``."""
    places, values, before = [], [], 0
    for number, sae in enumerate(bank.saes):
        slots = bank.slots(number)
        places.append(codes.latents[:, slots].long() + before)
        values.append(sae.dequantise(codes.values[:, slots]))
        before += sae.n_latents
    return torch.cat(places, 1), torch.cat(values, 1)


def _rarity(text: IndexedText) -> np.ndarray:
    """``f64[L]``: of each latent, by the tokens it is active at."""
    size = sum(sae.n_latents for sae in text.bank.saes)
    counts = np.zeros(size, dtype=np.int64)
    for begin in range(0, len(text.codes), _BLOCK_TOKENS):
        some = text.codes.rows(slice(begin, begin + _BLOCK_TOKENS))
        active, values = _active(text.bank, some)
        counts += np.bincount(active[values > 0].numpy(), minlength=size)
    return rarity_of(counts)
