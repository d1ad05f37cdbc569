"""Attention over large texts: cells tell where to look, and codes are read there alone.

Each question token spends one unit of attention on the text, so at most 1/τ tokens get a share of
more than τ. Cells of near keys (`s3_retriever.searching.cells`) stand in for their tokens: those
whose mean key gets such a share lead to sentences through the inverted index, and all of them
together estimate the softmax's sum, ``Σ_c n_c · exp(y·c + ½ yᵀΣy)`` with Σ the covariance of keys
inside a cell. For the best sentences the codes are read; their part of the sum is then exact.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.attention import CodedQueries
from s3_retriever.searching.cell_sums import ReadSums, joined_read_sums
from s3_retriever.searching.cells import CellPostings
from s3_retriever.searching.fusion import standardise
from s3_retriever.searching.group import LogSum, largest
from s3_retriever.searching.look_in_cells import Head, heads_in_cells, shares_of
from s3_retriever.searching.moments import Moments, joined_moments
from s3_retriever.searching.neighbours import Neighbours
from s3_retriever.searching.sample import Sample, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.codec import Codes
    from s3_retriever.config import Weighing
    from s3_retriever.searching.cells import Cells
    from s3_retriever.searching.scorer import Asked, IndexedText

SHARE = 5e-5
"""τ: a smaller share of a question token's attention leads nowhere. This and the next two are
where recall stays that of the exact search (``benchmarks/search_speed.py --recall``)."""

CANDIDATES = 300
"""Sentences whose codes are read for a question."""

_BLOCK_NUMBERS = 2**24
_CANDIDATE_TOKENS = 2**15  # for the size of blocks: about what candidates hold


def _joined_each(values: Sequence[Sequence[Moments]]) -> list[Moments]:
    return [joined_moments(each) for each in zip(*values, strict=True)]


class CellAttention:
    """Attention of questions over one text, from its cells.

    Args:
        text: What is searched.
        cells: Of its T tokens, for each of the N taps.
    """

    def __init__(self, text: IndexedText, cells: Sequence[Cells]) -> None:
        self.text, self.share = text, SHARE
        self.postings = [CellPostings(own, text.passages.bounds) for own in cells]
        self._widest = max(len(own.means) for own in cells)
        self._sample: tuple[tuple[float, ...], Sample] | None = None

    @property
    def most(self) -> int:
        """Question tokens that are held at a time."""
        heads = len(self.text.bank.calibration.heads)
        widest = self.text.group.constant("most cells", lambda: self._widest, largest)
        most = max(self.text.most_sentences, widest, heads * _CANDIDATE_TOKENS)
        return max(_BLOCK_NUMBERS // most, 1)

    def look(self, asked: Asked) -> FirstLook:
        """What cells tell of a question's attention."""
        return FirstLook(self, asked)

    def sample(self, reach: float) -> Sample:
        """Sentences that stand for all in means and deviations; the last are kept."""
        key, kept = (reach, self.text.sentences_before, self.text.all_sentences), self._sample
        if kept is None or kept[0] != key:
            self._sample = kept = key, Sample.of(self.text, reach)
        return kept[1]


class FirstLook:
    """One question's attention as far as cells tell, and as codes tell for chosen sentences."""

    def __init__(self, whole: CellAttention, asked: Asked) -> None:
        self._whole, self._asked = whole, asked
        self._text, self._passages = whole.text, whole.text.passages
        self._calibration = whole.text.bank.calibration
        self._y = self._calibration.queries(asked.queries)
        tokens = len(asked.queries)
        most, self._group = whole.most, whole.text.group
        self._parts = [slice(n, n + most) for n in range(0, tokens, most)]
        self._held: dict[int, list[Head]] = {}
        self._summed: np.ndarray | None = None
        self._sampled: dict[tuple[int, float, float], Tensor] = {}

    def _found(self) -> Iterator[tuple[slice, list[Head]]]:
        """Question tokens, and what each head finds; kept where the question is short."""
        for part in self._parts:
            found = self._held.get(part.start)
            if found is None:
                found = heads_in_cells(self._whole, self._asked, self._y[part])
            if len(self._parts) == 1:
                self._held[part.start] = found
            yield part, found

    def _sums(self) -> np.ndarray:
        """``f64[H, A]``: shares of sentences, summed over question tokens; kept."""
        if self._summed is None:
            sums = np.zeros((len(self._calibration.heads), len(self._passages)))
            for _, heads in self._found():
                for own, found in zip(sums, heads, strict=True):
                    own += np.bincount(found.sentences, found.shares, len(own))
            self._summed = sums
        return self._summed

    def _sample(self, part: slice, heads: Sequence[Head], weighing: Weighing) -> Tensor:
        """Smoothed shares of the sample, of sums of the softmax that cells tell: ``f32[S, H, n]``.

        Kept where the question is short.
        """
        key = part.start, weighing.reach, weighing.power
        smooth = self._sampled.get(key)
        if smooth is None:
            sample = self._whole.sample(weighing.reach)
            log_mass = torch.stack([found.log_mass for found in heads])
            reads = self._calibration.tap_of_head
            own = sample.shares(self._y[part], reads, log_mass, self._asked.without)
            smooth = sample.neighbours.smooth(own, weighing.power)
        if len(self._parts) == 1:
            self._sampled[key] = smooth
        return smooth

    def scores(self, weighing: Weighing) -> Tensor:
        """Scores of all sentences ``f32[A]``, on the scale of `refined`."""
        sums = torch.from_numpy(self._sums())
        near, measure = self._group.together(
            [partial(self._near, sums, weighing), partial(self._measure, weighing)]
        )
        return near * measure

    def _near(self, sums: Tensor, weighing: Weighing) -> Tensor:
        """``f32[A]``, in deviations of their own, of sums ``f64[H, A]``."""
        own = Moments(sums.shape[1], sums.mean(1), sums.square().mean(1) - sums.mean(1).square())
        spread = self._group.merged(own, joined_moments).deviation
        joined = self._calibration.head_shares @ (sums / spread[:, None]).float()
        near = self._passages.spread(joined.square(), weighing.reach).sqrt()
        return standardise(near, self._group)

    def _measure(self, weighing: Weighing) -> Tensor:
        """``f32[]``: the deviation of scores, told from the sample."""
        weights = self._calibration.head_shares
        sample = torch.zeros(len(self._whole.sample(weighing.reach).numbers), len(weights))
        for part, heads in self._found():
            sample += self._sample(part, heads, weighing).sum(2)
        scores = standardise(sample, self._group) @ weights
        return self._group.merged(Moments.of(scores), joined_moments).variance.sqrt().float()

    def refined(self, candidates: np.ndarray, weighing: Weighing) -> Tensor:
        """Scores of candidates, from their codes: ``f32[C]``.

        Args:
            candidates: ``int64[C]``, ascending.
            weighing: How far neighbours share.
        """
        exact, sample = self._exact(candidates, weighing)
        rest = ~np.isin(self._whole.sample(weighing.reach).numbers, candidates)
        own = Moments.of(exact), Moments.of(sample[torch.from_numpy(rest)])
        known, sampled = self._group.merged(own, _joined_each)
        others = replace(sampled, count=self._text.all_sentences - known.count)
        whole = joined_moments([known, others])
        return whole.standardised(exact).float() @ self._calibration.head_shares

    def _exact(self, candidates: np.ndarray, weighing: Weighing) -> tuple[Tensor, Tensor]:
        """Sums of smoothed shares, of candidates ``f64[C, H]`` and the sample ``f64[S, H]``.

        Neighbours of candidates share as cells tell.
        """
        passages, without = self._passages, self._asked.without
        neighbours = Neighbours.of(passages, candidates, weighing.reach)
        near = neighbours.near
        place = np.full(len(passages), -1)
        place[near] = np.arange(len(near))
        asked_of = candidates[(candidates < without.start) | (candidates >= without.stop)]
        tokens, firsts, owning = tokens_of(passages.bounds, asked_of)
        rows = torch.from_numpy(place[asked_of])
        heads, samples = len(self._calibration.heads), self._whole.sample(weighing.reach).numbers
        sums = torch.zeros(len(candidates), heads, dtype=torch.double)
        sampled = torch.zeros(len(samples), heads, dtype=torch.double)
        codes = self._text.codes.ranges(passages.bounds[asked_of], passages.bounds[asked_of + 1])
        for part, found in self._found():
            shares = shares_of(found, place, len(near), len(self._y[part]))
            shares[rows] = 0
            best, read = self._read(part, codes, firsts)
            by_cells = torch.stack([own.log_mass for own in found])
            known = ReadSums(self._taken(found, tokens), LogSum(read.highest - by_cells, read.mass))
            log_mass = self._group.merged(known, joined_read_sums).log_mass
            mass = log_mass.exp().clamp_min(1e-30)
            shares /= mass
            shares[rows[torch.from_numpy(owning)]] = torch.exp(best - by_cells - log_mass)
            sample = self._sample(part, found, weighing) / mass
            sums += neighbours.smooth(shares, weighing.power).double().sum(2)
            sampled += sample.double().sum(2)
        return sums, sampled

    def _read(self, part: slice, codes: Codes, firsts: np.ndarray) -> tuple[Tensor, LogSum]:
        """Logits through codes.

        Args:
            part: Question tokens.
            codes: Of the tokens of C sentences, end to end.
            firsts: ``int64[C]``, where each sentence begins.

        Returns:
            The greatest of each sentence ``f32[C, H, n]``, and the sums of their exponentials
            ``f32[H, n]``.
        """
        queries = self._asked.queries[part]
        shape = queries.shape[1], queries.shape[0]
        if not len(firsts):
            return torch.zeros(0, *shape), LogSum.of(torch.zeros(0, *shape))
        logits = CodedQueries(self._text.bank, queries).logits(codes)
        best = torch.from_numpy(np.maximum.reduceat(logits.numpy(), firsts))
        read = LogSum.of(logits)
        return best.view(-1, *shape), LogSum(read.highest.view(shape), read.mass.view(shape))

    def _taken(self, heads: Sequence[Head], tokens: np.ndarray) -> Tensor:
        """What cells give to some tokens of the softmax's sums: ``f32[H, n]``.

        Args:
            heads: What each finds.
            tokens: ``int64[t]``.
        """
        counts = [postings.counts(tokens) for postings in self._whole.postings]
        taken = [torch.from_numpy(counts[tap]).float() for tap in self._calibration.tap_of_head]
        both = zip(heads, taken, strict=True)
        return torch.stack([found.share @ own for found, own in both])
