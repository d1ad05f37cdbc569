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
        columns = [(numbers, np.ones(len(numbers), np.float32))]
        for step in (-1, 1):
            columns.extend(_side(passages, numbers, reach, step))
        others, weights = (np.stack(each, 1) for each in zip(*columns, strict=True))
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
            scores: ``f32[C', n]`` of those in `near`, at least 0.
            power: As there.

        Returns:
            ``f32[C, n]``.
        """
        positive = scores.clamp_min(0)
        summed = embedding_bag(
            self.places, positive**power, per_sample_weights=self.weights, mode="sum"
        )
        smoothed: Tensor = summed ** (1 / power)
        smoothed[self.rows] += positive[self.headers]
        return smoothed


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
    for step in (-1, 1):
        for other, weights in _side(passages, numbers, reach, step):
            total.index_add_(0, torch.from_numpy(other), torch.from_numpy(weights) * own)
            reached.append(other)
    total **= 1 / power
    total[torch.from_numpy(rows)] += positive[torch.from_numpy(passages.header[rows])]
    near = union(*reached)
    return near, total[torch.from_numpy(near)]


def _side(
    passages: Passages, numbers: np.ndarray, reach: float, step: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Neighbours on one side, nearest first: their numbers, and weights ``f32[C]``.

    Rows and records have none. Where a sentence has no more, its own number stands with weight 0.
    """
    own = ~passages.alone[numbers]
    for r in range(1, MOST_NEIGHBOURS + 1):
        other = np.clip(numbers + step * r, 0, len(passages) - 1)
        apart = np.abs(passages.centre[other] - passages.centre[numbers]).astype(np.float32)
        weights = np.exp(-apart / np.float32(reach))
        there = passages.document[other] == passages.document[numbers]
        there &= (weights >= MIN_NEIGHBOUR_WEIGHT) & (other == numbers + step * r)
        if not there.any():
            break
        there &= own & ~passages.alone[other]
        yield np.where(there, other, numbers), np.where(there, weights, np.float32(0))
