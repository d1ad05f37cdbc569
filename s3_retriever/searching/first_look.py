"""Attention over large texts: cells tell where to look, and codes are read there alone.

Each question token spends one unit of attention on the text, so at most 1/τ tokens get a share of
more than τ. Cells of near keys (`s3_retriever.searching.cells`) stand in for their tokens: those
whose mean key gets such a share lead to sentences through the inverted index, and all of them
together estimate the softmax's sum, ``Σ_c n_c · exp(y·c + ½ yᵀΣy)`` with Σ the covariance of keys
inside a cell. For the best sentences the codes are read; their part of the sum is then exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.attention import CodedQueries
from s3_retriever.searching.cells import CELL_TOKENS, CellPostings
from s3_retriever.searching.fusion import standardise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.config import Weighing
    from s3_retriever.searching.cells import Cells
    from s3_retriever.searching.scorer import Asked, IndexedText

SHARE = 5e-5
"""τ: a smaller share of a question token's attention leads nowhere. This and the next two are
where recall stays that of the exact search (``benchmarks/search_speed.py --recall``)."""

CANDIDATES = 500
"""Sentences whose codes are read for a question."""

LEAD_CANDIDATES = 250
"""Sentences whose codes are read for what a span leads to."""

_SAMPLES, _RUN, _EDGE = 32, 16, 4  # runs of sentences; of each, those at its edges only share
_BLOCK_NUMBERS = 2**24
_CANDIDATE_TOKENS = 2**15  # for the size of blocks: about what candidates hold


class CellAttention:
    """Attention of questions over one text, from its cells.

    Args:
        text: What is searched.
        cells: Of its T tokens, for each of the N taps.
    """

    def __init__(self, text: IndexedText, cells: Sequence[Cells]) -> None:
        self.text, self.share = text, SHARE
        self.postings = [CellPostings(own, text.passages.bounds) for own in cells]
        heads = len(text.bank.calibration.heads)
        widest = max(len(own.means) for own in cells)
        most = max(len(text.passages), widest, heads * _CANDIDATE_TOKENS)
        self.most = max(_BLOCK_NUMBERS // most, 1)  # question tokens that are held at a time

    def look(self, asked: Asked) -> FirstLook:
        """What cells tell of a question's attention."""
        return FirstLook(self, asked)

    @cached_property
    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Sentences that stand for all in means and deviations.

        Returns:
            Numbers of the sentences ``int64[S]``, in short runs, with the headers of rows among
            them, and ``bool[S]``, whether they are counted or only share with those that are.
        """
        count = len(self.text.passages)
        if count <= _SAMPLES * _RUN:
            return np.arange(count), np.ones(count, dtype=bool)
        firsts = np.linspace(0, count - _RUN, _SAMPLES).astype(np.int64)
        within = np.arange(_RUN)
        counted = (within >= _EDGE) & (within < _RUN - _EDGE)
        numbers = (firsts[:, None] + within).ravel()
        headers = self.text.passages.header[numbers]
        whole = np.union1d(numbers, headers[headers >= 0])
        asked = np.zeros(len(whole), dtype=bool)
        asked[np.searchsorted(whole, numbers)] = np.tile(counted, _SAMPLES)
        return whole, asked


@dataclass(frozen=True, eq=False)
class _Head:
    """What one head's question tokens, n at a time, find in the cells.

    Attributes:
        share: ``f32[n, K]``, of the attention, of a token of each cell.
        log_mass: ``f32[n]``, logarithm of the softmax's sum.
        sentences: ``int32[E]``; sentences with a token of more than the least share.
        tokens: ``int64[E]``, the question token.
        shares: ``f32[E]``, the greatest share of its tokens.
    """

    share: Tensor
    log_mass: Tensor
    sentences: np.ndarray
    tokens: np.ndarray
    shares: np.ndarray


class FirstLook:
    """One question's attention as far as cells tell, and as codes tell for chosen sentences."""

    def __init__(self, whole: CellAttention, asked: Asked) -> None:
        self._whole, self._asked = whole, asked
        self._text, self._passages = whole.text, whole.text.passages
        self._calibration = whole.text.bank.calibration
        self._y = self._calibration.queries(asked.queries)
        tokens = len(asked.queries)
        self._parts = [slice(n, n + whole.most) for n in range(0, tokens, whole.most)]
        self._held: dict[tuple[int, int], _Head] = {}
        self._sampled: dict[tuple[float, float], Tensor] = {}
        bounds = self._passages.bounds
        self._left_out = slice(int(bounds[asked.without.start]), int(bounds[asked.without.stop]))

    def _heads(self) -> Iterator[tuple[slice, int, _Head]]:
        """Question tokens, a head, and what it finds; kept where the question is short."""
        for part in self._parts:
            for head in range(len(self._calibration.heads)):
                found = self._held.get((part.start, head)) or self._head(part, head)
                if len(self._parts) == 1:
                    self._held[part.start, head] = found
                yield part, head, found

    def _head(self, part: slice, head: int) -> _Head:
        postings = self._whole.postings[self._calibration.tap_of_head[head]]
        y, cells = self._y[part, head], postings.cells
        sizes = postings.sizes - postings.counts(self._left_out)
        logits = y @ cells.means.T
        widening = _widening(torch.einsum("id,de,ie->i", y, cells.spread, y))
        log_sizes = torch.from_numpy(np.log(np.maximum(sizes, 1e-30)).astype(np.float32))
        log_mass = torch.logsumexp(logits + log_sizes, 1) + widening
        share = torch.exp(logits + (widening - log_mass)[:, None])
        return _Head(share, log_mass, *self._posts(postings, share.numpy()))

    def _posts(
        self, postings: CellPostings, share: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sentences, question tokens and shares of `_Head`."""
        asking, cells = np.nonzero(share >= self._whole.share)
        own = share[asking, cells]
        rising = np.argsort(own, kind="stable")
        asking, cells, own = asking[rising], cells[rising], own[rising]
        sentences, place = postings.posts(cells)
        without = self._asked.without
        kept = (sentences < without.start) | (sentences >= without.stop)
        sentences, place = sentences[kept], place[kept]
        pair = asking[place] * len(self._passages) + sentences
        last = np.empty(len(share) * len(self._passages), dtype=np.int32)
        last[pair] = np.arange(len(pair))  # of several posts the last stays, the greatest
        greatest = last[pair] == np.arange(len(pair))
        sentences, place = sentences[greatest], place[greatest]
        return sentences, asking[place], own[place]

    @cached_property
    def _sums(self) -> np.ndarray:
        """``f64[H, A]``: shares of sentences, summed over question tokens."""
        sums = np.zeros((len(self._calibration.heads), len(self._passages)))
        for _, head, found in self._heads():
            sums[head] += np.bincount(found.sentences, found.shares, sums.shape[1])
        return sums

    def _sample(self, weighing: Weighing) -> Tensor:
        """Sums of smoothed shares of the sample's sentences, as cells tell them: ``f32[S, H]``."""
        constants = weighing.reach, weighing.power
        if constants not in self._sampled:
            self._sampled[constants] = self._sums_of_sample(weighing)
        return self._sampled[constants]

    def _sums_of_sample(self, weighing: Weighing) -> Tensor:
        numbers, _ = self._whole.sample
        tokens, firsts, owning = _tokens_of(self._passages.bounds, numbers)
        asked_of = (numbers < self._asked.without.start) | (numbers >= self._asked.without.stop)
        some = self._passages.some(numbers)
        sums = torch.zeros(len(numbers), len(self._calibration.heads))
        for part, head, found in self._heads():
            tap = self._calibration.tap_of_head[head]
            cell = self._whole.postings[tap].cells.cell[tokens]
            best = torch.zeros(len(numbers), len(self._y[part]))
            if len(tokens):
                shares = np.maximum.reduceat(found.share.numpy().T[cell], firsts)
                best[torch.from_numpy(owning)] = torch.from_numpy(shares)
            best *= torch.from_numpy(asked_of)[:, None]
            sums[:, head] += some.smooth(best, weighing.reach, weighing.power).sum(1)
        return sums

    def scores(self, weighing: Weighing) -> Tensor:
        """Scores of all sentences ``f32[A]``, on the scale of `refined`."""
        weights = self._calibration.head_shares
        sums = torch.from_numpy(self._sums).float()
        joined = weights @ (sums / sums.std(1, correction=0, keepdim=True).clamp_min(1e-9))
        near = self._passages.spread(joined.square(), weighing.reach).sqrt()
        _, counted = self._whole.sample
        sample = standardise(self._sample(weighing)[torch.from_numpy(counted)]) @ weights
        return standardise(near) * sample.std(correction=0)

    def documents(self) -> Tensor:
        """What `AttentionDocumentScorer` gives each document, ``f32[D]``, as cells tell it."""
        document, count = self._passages.document, len(self._text.documents)
        sums = np.zeros((count, len(self._calibration.heads)))
        for part, head, found in self._heads():
            best = np.zeros(count * len(self._y[part]), dtype=np.float32)
            place = document[found.sentences] * len(self._y[part]) + found.tokens
            np.maximum.at(best, place, found.shares)
            sums[:, head] += best.reshape(count, -1).sum(1)
        return standardise(torch.from_numpy(sums).float()) @ self._calibration.head_shares

    def refined(self, candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """Scores of candidates, from their codes: ``f32[C]``.

        Args:
            candidates: ``int64[C]``, ascending.
            weighing: How far neighbours share.
        """
        exact = self._exact(candidates, weighing)
        numbers, counted = self._whole.sample
        rest = counted & ~np.isin(numbers, candidates)
        others = len(self._passages) - len(candidates)
        mean, square = exact.sum(0), exact.square().sum(0)
        if others and rest.any():
            sample = self._sample(weighing)[torch.from_numpy(rest)]
            mean = mean + others * sample.mean(0)
            square = square + others * sample.square().mean(0)
        mean, square = mean / len(self._passages), square / len(self._passages)
        spread = (square - mean.square()).clamp_min(0).sqrt().clamp_min(1e-9)
        return ((exact - mean) / spread).float() @ self._calibration.head_shares

    def _exact(self, candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """Sums of smoothed shares ``f64[C, H]``; neighbours of candidates share as cells tell."""
        passages, without = self._passages, self._asked.without
        near = passages.near(candidates, weighing.reach)
        place = np.full(len(passages), -1)
        place[near] = np.arange(len(near))
        some, inner = passages.some(near), torch.from_numpy(place[candidates])
        asked_of = candidates[(candidates < without.start) | (candidates >= without.stop)]
        tokens, firsts, owning = _tokens_of(passages.bounds, asked_of)
        rows = torch.from_numpy(place[asked_of])
        sums = torch.zeros(len(candidates), len(self._calibration.heads), dtype=torch.double)
        starts, stops = passages.bounds[asked_of], passages.bounds[asked_of + 1]
        codes = self._text.codes.ranges(starts, stops)
        logits = torch.zeros(0)
        for part, head, found in self._heads():
            if head == 0:
                asking = CodedQueries(self._text.bank, self._asked.queries[part])
                logits = asking.logits(codes).view(len(tokens), -1, len(self._y[part]))
            shares = torch.zeros(len(near), len(self._y[part]))
            inside = place[found.sentences]
            known = inside >= 0
            at = torch.from_numpy(inside[known]), torch.from_numpy(found.tokens[known])
            shares[at] = torch.from_numpy(found.shares[known])
            shares[rows] = 0
            if len(tokens):
                postings = self._whole.postings[self._calibration.tap_of_head[head]]
                taken = torch.from_numpy(postings.counts(tokens)).float()
                rest = torch.log((1 - found.share @ taken).clamp_min(1e-30))
                own = logits[:, head] - found.log_mass
                mass = torch.logaddexp(rest, torch.logsumexp(own, 0))
                best = torch.from_numpy(np.maximum.reduceat(own.numpy(), firsts))
                shares /= mass.exp().clamp_min(1e-30)
                shares[rows[torch.from_numpy(owning)]] = torch.exp(best - mass)
            smooth = some.smooth(shares, weighing.reach, weighing.power)
            sums[:, head] += smooth[inner].double().sum(1)
        return sums


def _widening(variance: Tensor) -> Tensor:
    """How much more a cell's tokens weigh than its mean key, as a logarithm.

    Half the variance of their logits, were there any number of tokens; what is beyond √(2 ln n)
    deviations is not seen among n of them (Derrida's random energies), so that large ones count
    linearly.
    """
    most = math.sqrt(2 * math.log(CELL_TOKENS))
    deviation = variance.clamp_min(0).sqrt()
    return torch.where(deviation <= most, variance / 2, most * deviation - most**2 / 2)


def _tokens_of(
    bounds: np.ndarray, sentences: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of some sentences.

    Args:
        bounds: ``int64[A + 1]``, of `Passages`.
        sentences: ``int64[C]``, ascending.

    Returns:
        Their tokens ``int64[t]``, end to end; where in these each sentence that has any begins, and
        ``bool[C]``, whether a sentence has any.
    """
    sizes = bounds[sentences + 1] - bounds[sentences]
    ends = np.cumsum(sizes)
    begins = np.repeat(bounds[sentences] - (ends - sizes), sizes)
    return np.arange(len(begins)) + begins, (ends - sizes)[sizes > 0], sizes > 0
