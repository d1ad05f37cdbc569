"""Cutting many vectors into small groups of near ones: k-means in two levels."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 5
_SAMPLE = 50  # vectors for each centre that it is fitted to
_BLOCK = 16_384


def grouped(x: Tensor, size: int, seed: int = 0) -> Tensor:
    """Put vectors into groups of about so many each.

    K groups are made by cutting all vectors into √K and each of these again, so that the work grows
    with ``R · √K``.

    Args:
        x: ``f32[R, d]``.
        size: Vectors in a mean group.
        seed: Of the generator; the same vectors give the same groups.

    Returns:
        ``int64[R]``, numbers of groups from 0, none of which is empty.
    """
    random = torch.Generator().manual_seed(seed)
    coarse = _kmeans(x, max(round((len(x) / size) ** 0.5), 1), random)
    group, known = torch.empty(len(x), dtype=torch.long), 0
    order, counts = torch.argsort(coarse, stable=True), torch.bincount(coarse)
    for own in torch.split(order, counts.tolist()):
        count = max(round(len(own) / size), 1)
        group[own] = known + _kmeans(x[own], count, random)
        known += count
    numbers: Tensor = torch.unique(group, return_inverse=True)[1]
    return numbers


def _kmeans(x: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Numbers of the nearest of that many centres, ``int64[R]``."""
    if count <= 1:
        return torch.zeros(len(x), dtype=torch.long)
    sample = x[torch.randperm(len(x), generator=random)[: count * _SAMPLE]]
    centres = sample[:count].clone()
    for _ in range(_ROUNDS):
        means, sizes = group_means(sample, _nearest(sample, centres), len(centres))
        centres = torch.where(sizes[:, None] > 0, means, centres)
    return _nearest(x, centres)


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    half = centres.square().sum(1) / 2
    return torch.cat([(part @ centres.T - half).argmax(1) for part in torch.split(x, _BLOCK)])


def group_means(x: Tensor, group: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Means ``f32[count, d]`` and sizes ``int64[count]`` of groups."""
    sizes = torch.bincount(group, minlength=count)
    sums = torch.zeros(count, x.shape[1]).index_add_(0, group, x)
    return sums / sizes.clamp_min(1)[:, None], sizes
