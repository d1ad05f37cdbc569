"""Cells of near keys, and the inverted index from a cell to its sentences.

A softmax over a text needs the few tokens that carry its mass, and the sum of the rest. Cells tell
where the first are without a look at each token, and estimate the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.kmeans import group_means, grouped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_retriever.codec import Bank, JoinedCodes

CELL_TOKENS = 64
"""Tokens of a mean cell."""

RUN_TOKENS = 2**18
"""Tokens whose cells are made at a time, which bounds what is held."""

_BLOCK_TOKENS = 8192


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one tap's keys. Cells of more text are these, end to end.

    Attributes:
        means: ``f32[K, d]``, mean key of each cell; keys are those that codes stand for, less
            `Bank.offset`.
        spread: ``f32[d, d]``, mean covariance of keys inside their cells.
        cell: ``int32[T]``, the cell of each token.
    """

    means: Tensor
    spread: Tensor
    cell: np.ndarray

    def some(self, tokens: np.ndarray) -> Cells:
        """The same cells with some of their tokens ``int64[t]``, renumbered from 0."""
        return Cells(self.means, self.spread, self.cell[tokens])


def make_cells(bank: Bank, codes: JoinedCodes) -> list[Cells]:
    """Cut the keys of a text into cells, at each of the N taps.

    Args:
        bank: With which the codes were made.
        codes: Of the T tokens.
    """
    runs = [_run(bank, codes, first) for first in range(0, len(codes), RUN_TOKENS)]
    return [joined(own) for own in zip(*runs, strict=True)]


def joined(parts: Sequence[Cells]) -> Cells:
    """The cells of one tap of several texts, end to end."""
    sizes = [len(part.cell) for part in parts]
    firsts = np.cumsum([0, *(len(part.means) for part in parts[:-1])])
    cell = [part.cell + first for part, first in zip(parts, firsts.tolist(), strict=True)]
    spreads = torch.stack([part.spread * size for part, size in zip(parts, sizes, strict=True)])
    return Cells(
        torch.cat([part.means for part in parts]),
        spreads.sum(0) / max(sum(sizes), 1),
        np.concatenate(cell).astype(np.int32),
    )


def _run(bank: Bank, codes: JoinedCodes, first: int) -> list[Cells]:
    keys = torch.cat(list(_keys(bank, codes, first, min(first + RUN_TOKENS, len(codes)))))
    return [_of_tap(keys[:, tap].float()) for tap in range(keys.shape[1])]


def _keys(bank: Bank, codes: JoinedCodes, first: int, last: int) -> Iterator[Tensor]:
    """``f16[t, N, d]`` of a few tokens after another."""
    for start in range(first, last, _BLOCK_TOKENS):
        some = codes.rows(slice(start, min(start + _BLOCK_TOKENS, last)))
        yield (bank.decode(some) - bank.offset).half()


def _of_tap(keys: Tensor) -> Cells:
    cell = grouped(keys, CELL_TOKENS)
    means, _ = group_means(keys, cell, int(cell.max()) + 1)
    left = keys - means[cell]
    return Cells(means, left.T @ left / len(keys), cell.numpy().astype(np.int32))


class CellPostings:
    """The inverted index of one tap: for each cell its sentences.

    Args:
        cells: Of the T tokens.
        bounds: ``int64[A + 1]``, of `Passages`.

    Attributes:
        cells: As given.
        sizes: ``int64[K]``, tokens of each cell.
        starts: ``int64[K + 1]``; cell c has the tokens ``starts[c]`` to ``starts[c + 1]`` of
            `sentences`.
        sentences: ``int32[T]``, the sentence of each token, cell by cell.
    """

    def __init__(self, cells: Cells, bounds: np.ndarray) -> None:
        owner = np.repeat(np.arange(len(bounds) - 1, dtype=np.int32), np.diff(bounds))
        self.cells = cells
        self.sizes = np.bincount(cells.cell, minlength=len(cells.means))
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self.sentences = owner[np.argsort(cells.cell, kind="stable")]

    def counts(self, tokens: slice | np.ndarray) -> np.ndarray:
        """How many of some tokens each cell has, ``int64[K]``."""
        return np.bincount(self.cells.cell[tokens], minlength=len(self.sizes))

    def posts(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sentences of some cells, one for each token.

        Args:
            cells: ``int64[M]``.

        Returns:
            ``int32[P]``, and the place in `cells` of each, ``int64[P]``.
        """
        sizes = self.sizes[cells]
        place = np.repeat(np.arange(len(cells)), sizes)
        within = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.sentences[self.starts[cells][place] + within], place
