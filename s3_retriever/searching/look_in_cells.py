"""What cells tell of the attention of question tokens, before any code is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.cell_sums import CellSums, joined_cell_sums
from s3_retriever.searching.cells import CELL_TOKENS
from s3_retriever.searching.group import LOWEST, LogSum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.searching.cells import CellPostings
    from s3_retriever.searching.scorer import Asked, IndexedText


class InCells(Protocol):
    """A text in cells; see `s3_retriever.searching.first_look.CellAttention`."""

    text: IndexedText
    share: float
    postings: list[CellPostings]


@dataclass(frozen=True, eq=False)
class Head:
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


def heads_in_cells(whole: InCells, asked: Asked, y: Tensor) -> list[Head]:
    """What each of the H heads finds.

    Args:
        whole: The text in cells.
        asked: Whose tokens ask.
        y: Some of them, calibrated: ``f32[n, H, d]``.
    """
    text, bounds = whole.text, whole.text.passages.bounds
    left_out = slice(int(bounds[asked.without.start]), int(bounds[asked.without.stop]))
    taps = [whole.postings[tap] for tap in text.bank.calibration.tap_of_head]
    own = [_in_cells(tap, y[:, head], left_out) for head, tap in enumerate(taps)]
    sums = CellSums.of_heads([of_head for _, of_head in own])
    every = text.group.merged(sums, joined_cell_sums)
    highest, total = every.sum.highest, every.sum.mass.clamp_min(1e-30)
    log_mass = highest + torch.log(total) + _widening(every.variance / max(every.tokens, 1))
    scale = torch.exp(sums.sum.highest - highest) / total
    found = []
    for head, (share, _) in enumerate(own):
        share *= scale[head][:, None]
        posts = _posts(whole, taps[head], share.numpy(), asked.without)
        found.append(Head(share, log_mass[head], *posts))
    return found


def _in_cells(postings: CellPostings, y: Tensor, left_out: slice) -> tuple[Tensor, CellSums]:
    """Weights of a token of each cell ``f32[n, K]``, in measure of the heaviest; their sums."""
    cells, nothing = postings.cells, torch.full((len(y),), LOWEST)
    sizes = torch.from_numpy(postings.sizes - postings.counts(left_out)).float()
    logits, tokens = y @ cells.means.T, len(cells.cell)
    highest = logits.amax(1) if len(sizes) else nothing
    share = logits.sub_(highest[:, None]).exp_()
    variance = ((y @ cells.spread) * y).sum(1) * tokens
    return share, CellSums(LogSum(highest, share @ sizes), variance, tokens)


def _posts(
    whole: InCells, postings: CellPostings, share: np.ndarray, without: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sentences, question tokens and shares of `Head`."""
    own, sentences_of_all = share.ravel(), len(whole.text.passages)
    place = np.flatnonzero(own >= whole.share)
    place = place[np.argsort(own[place], kind="stable")]
    own, (asking, cells) = own[place], np.divmod(place, share.shape[1])
    sentences, place = postings.posts(cells)
    kept = (sentences < without.start) | (sentences >= without.stop)
    sentences, place = sentences[kept], place[kept]
    pair = asking[place] * sentences_of_all + sentences
    last = np.empty(len(share) * sentences_of_all, dtype=np.int32)
    last[pair] = np.arange(len(pair))  # of several posts the last stays, the greatest
    greatest = last[pair] == np.arange(len(pair))
    sentences, place = sentences[greatest], place[greatest]
    return sentences, asking[place], own[place]


def shares_of(heads: Sequence[Head], place: np.ndarray, sentences: int, tokens: int) -> Tensor:
    """What cells tell of the shares of some sentences, ``f32[C, H, n]``.

    Args:
        heads: What each finds.
        place: ``int64[A]``, where each of all sentences stands among them; -1 where it does not.
        sentences: C.
        tokens: n.
    """
    shares = torch.zeros(sentences, len(heads), tokens)
    for head, found in enumerate(heads):
        inside = place[found.sentences]
        known = inside >= 0
        at = torch.from_numpy(inside[known]), head, torch.from_numpy(found.tokens[known])
        shares[at] = torch.from_numpy(found.shares[known])
    return shares


def _widening(variance: Tensor) -> Tensor:
    """How much more a cell's tokens weigh than its mean key, as a logarithm.

    Half the variance of their logits, were there any number of tokens; what is beyond √(2 ln n)
    deviations is not seen among n of them (Derrida's random energies), so that large ones count
    linearly.
    """
    most = math.sqrt(2 * math.log(CELL_TOKENS))
    deviation = variance.clamp_min(0).sqrt()
    return torch.where(deviation <= most, variance / 2, most * deviation - most**2 / 2)
