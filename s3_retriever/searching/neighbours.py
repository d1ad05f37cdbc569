"""What some sentences share with those near them, without a look at all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from s3_retriever.searching.fusion import union
from s3_retriever.searching.passages import MIN_NEIGHBOUR_WEIGHT, MOST_NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from s3_retriever.searching.passages import Passages

_TOGETHER = 8
"""Neighbours of a sentence that are looked at together."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Some sentences and those that count for them in `Passages.smooth`.

    Attributes:
        near: ``int64[C']``, numbers of the sentences and of their neighbours, ascending.
        places: ``int64[C, R]``, for each of the sentences its own place in `near`, and those of its
            neighbours.
        weights: ``f32[C, R]``, what these count for it, 1 and less; 0 where there are fewer.
        rows: ``int64[C'']``, which of the sentences are rows with a header.
        headers: ``int64[C'']``, the places of their headers in `near`.
    """

    near: np.ndarray
    places: Tensor
    weights: Tensor
    rows: Tensor
    headers: Tensor

    @classmethod
    def of(cls, passages: Passages, numbers: np.ndarray, reach: float) -> Neighbours:
        """Find the neighbours of some sentences.

        Args:
            passages: All sentences.
            numbers: ``int64[C]``, ascending, each once.
            reach: As for `Passages.smooth`.
        """
        columns = [(numbers[:, None], np.ones((len(numbers), 1), np.float32))]
        for side in (-1, 1):
            columns.extend(_side(passages, numbers, reach, side))
        others, weights = (np.concatenate(each, 1) for each in zip(*columns, strict=True))
        rows = np.flatnonzero(passages.header[numbers] >= 0)
        headers = passages.header[numbers[rows]]
        near = union(others.ravel(), headers)
        place = np.zeros(len(passages), dtype=np.int64)
        place[near] = np.arange(len(near))
        found = place[others], weights, rows, place[headers]
        return cls(near, *map(torch.from_numpy, found))

    def smooth(self, scores: Tensor, power: float) -> Tensor:
        """Let the sentences share in what stands near them, as `Passages.smooth` does.

        Args:
            scores: ``f32[C', …]`` of those in `near`, at least 0.
            power: As there.

        Returns:
            ``f32[C, …]``.
        """
        positive = scores.clamp_min(0).flatten(1)
        summed = embedding_bag(
            self.places, positive**power, per_sample_weights=self.weights, mode="sum"
        )
        smoothed: Tensor = summed ** (1 / power)
        smoothed[self.rows] += positive[self.headers]
        return smoothed.view(len(smoothed), *scores.shape[1:])


def lend(
    passages: Passages, numbers: np.ndarray, scores: Tensor, reach: float, power: float
) -> tuple[np.ndarray, Tensor]:
    """`Passages.smooth` where few sentences have a score.

    Args:
        passages: All A sentences.
        numbers: ``int64[C]``, those with a score, ascending, each once.
        scores: ``f32[A]``, at least 0.
        reach: As there.
        power: As there.

    Returns:
        The numbers of sentences that get anything ``int64[C']``, ascending, and what they get,
        ``f32[C']``.
    """
    positive, rows = scores.clamp_min(0), passages.rows_of(numbers)
    total, reached = positive**power, [numbers, rows]
    own = total[torch.from_numpy(numbers)]
    for side in (-1, 1):
        for others, weights in _side(passages, numbers, reach, side):
            lent = torch.from_numpy(weights) * own[:, None]
            total.index_add_(0, torch.from_numpy(others.ravel()), lent.ravel())
            reached.append(others.ravel())
    total **= 1 / power
    total[torch.from_numpy(rows)] += positive[torch.from_numpy(passages.header[rows])]
    near = union(*reached)
    return near, total[torch.from_numpy(near)]


def _side(
    passages: Passages, numbers: np.ndarray, reach: float, side: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Neighbours on one side, some of the nearest at a time: numbers and weights ``f32[C, r]``.

    Rows and records have none. Where a sentence has no more, its own number stands with weight 0.
    """
    own = numbers[:, None]
    document, centre = passages.document[own], passages.centre[own]
    for first in range(1, MOST_NEIGHBOURS + 1, _TOGETHER):
        beside = own + side * np.arange(first, min(first + _TOGETHER, MOST_NEIGHBOURS + 1))
        other = np.clip(beside, 0, len(passages) - 1)
        weights = np.exp(-np.abs(passages.centre[other] - centre).astype(np.float32) / reach)
        there = (other == beside) & (passages.document[other] == document)
        there &= weights >= MIN_NEIGHBOUR_WEIGHT
        if not there.any():
            break
        more = bool(there[:, -1].any())
        there &= ~(passages.alone[own] | passages.alone[other])
        yield np.where(there, other, own), np.where(there, weights, 0).astype(np.float32)
        if not more:
            break
