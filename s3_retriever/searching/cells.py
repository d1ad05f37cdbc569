"""Cells of near keys, and the inverted index from a cell to its sentences.

A softmax over a text needs the few tokens that carry its mass, and the sum of the rest. Cells tell
where the first are without a look at each token, and estimate the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.byte_rows import ByteRows, joined_rows
from s3_retriever.searching.kmeans import group_means, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CELL_TOKENS = 192
"""Tokens of a mean cell."""

RUN_TOKENS = 2**18
"""Tokens whose cells are made at a time, which bounds what is held."""


_LEAST = 2**16 - 1  # numbers of two bytes are sorted in linear time


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one tap's keys.

    Attributes:
        rows: Of K cells, the mean key of each; keys are those that codes stand for, less
            `Bank.offset`.
        spread: ``f32[d, d]``, mean covariance of keys inside their cells.
        cell: ``int[T]``, the cell of each token.
    """

    rows: ByteRows
    spread: Tensor
    cell: np.ndarray

    @cached_property
    def means(self) -> Tensor:
        """``f32[K, d]``: the mean key of each cell."""
        return self.rows.tensor()

    def some(self, kept: np.ndarray) -> Cells:
        """The same cells with some of their tokens, ``bool[T]``, renumbered from 0."""
        return Cells(self.rows, self.spread, self.cell[kept])


def cells_of(keys: Tensor) -> list[Cells]:
    """Cut keys into cells, at each of the N taps.

    Args:
        keys: ``f16[T, N, d]``, T > 0.
    """
    own = keys.numpy()
    return [_of_tap(own[:, tap].astype(np.float32)) for tap in range(own.shape[1])]


def _of_tap(keys: np.ndarray) -> Cells:
    cell = grouped(keys, CELL_TOKENS)
    means, _ = group_means(keys, cell, int(cell.max()) + 1)
    left = torch.from_numpy(keys - means[cell])
    spread = (left.T @ left / len(keys)).half().float()
    kind = np.min_scalar_type(max(len(means), _LEAST))
    return Cells(ByteRows.of(torch.from_numpy(means)), spread, cell.astype(kind))


def no_cells(taps: int, size: int) -> list[Cells]:
    """The cells of a text without tokens."""
    rows = ByteRows(np.zeros((0, size), np.int8), np.zeros(0, np.float32))
    return [Cells(rows, torch.zeros(size, size), np.zeros(0, np.uint16)) for _ in range(taps)]


def joined_cells(parts: Sequence[Cells]) -> Cells:
    """The cells of one tap of several texts, end to end."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part.cell) for part in parts]
    firsts = np.cumsum([0, *(len(part.rows) for part in parts)])
    kind = np.min_scalar_type(
        max(int(firsts[-1]), _LEAST)
    )  # those of two bytes are sorted in linear time
    cell = [
        part.cell.astype(kind) + kind.type(first)
        for part, first in zip(parts, firsts[:-1].tolist(), strict=True)
    ]
    spreads = torch.stack([part.spread * size for part, size in zip(parts, sizes, strict=True)])
    spread = spreads.sum(0) / max(sum(sizes), 1)
    return Cells(joined_rows([part.rows for part in parts]), spread, np.concatenate(cell))


def cell_arrays(cells: Sequence[Cells]) -> dict[str, np.ndarray]:
    """The cells of N taps as arrays."""
    rows = joined_rows([own.rows for own in cells])
    widest = max((own.cell.dtype for own in cells), key=lambda kind: kind.itemsize)
    return {
        "cell": np.stack([own.cell.astype(widest) for own in cells]),
        "counts": np.array([len(own.rows) for own in cells], np.int32),
        "means": rows.values,
        "scales": rows.scales,
        "spread": torch.stack([own.spread for own in cells]).half().numpy(),
    }


def cells_from(arrays: Mapping[str, np.ndarray]) -> list[Cells]:
    """Undo `cell_arrays`.

    Raises:
        ValueError: they do not fit each other.
    """
    counts, means, scales = arrays["counts"], arrays["means"], arrays["scales"]
    bounds = np.cumsum([0, *counts.tolist()]).tolist()
    if not len(arrays["cell"]) == len(arrays["spread"]) == len(counts):
        raise ValueError("cells are of several numbers of taps")
    if not len(means) == len(scales) == bounds[-1]:
        raise ValueError("the means of cells are cut short")
    spreads = torch.from_numpy(arrays["spread"].astype(np.float32))
    found = [
        Cells(ByteRows(means[first:last], scales[first:last]), spread, cell)
        for first, last, spread, cell in zip(
            bounds[:-1], bounds[1:], spreads, arrays["cell"], strict=True
        )
    ]
    if any(own.cell.max(initial=0) >= max(len(own.rows), 1) for own in found):
        raise ValueError("tokens are said to be in cells that there are not")
    return found


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
        self.sizes = np.bincount(cells.cell, minlength=len(cells.rows))
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
