"""Cutting many vectors into small groups of near ones: k-means in two levels.

All of it is many small steps, each in one thread: threads that meet after each of them would mostly
wait, on a machine with other work for minutes.
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 5
_SAMPLE = 50  # vectors for each centre that it is fitted to
_PRODUCTS = 2**18  # of a matrix product that BLAS makes in one thread


def grouped(x: np.ndarray, size: int, seed: int = 0) -> np.ndarray:
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
    random = np.random.default_rng(seed)
    coarse = _kmeans(x, max(round((len(x) / size) ** 0.5), 1), random)
    group, known = np.empty(len(x), dtype=np.int64), 0
    for own in np.split(np.argsort(coarse, kind="stable"), np.cumsum(np.bincount(coarse))[:-1]):
        count = max(round(len(own) / size), 1)
        group[own] = known + _kmeans(x[own], count, random)
        known += count
    numbers: np.ndarray = np.unique(group, return_inverse=True)[1]
    return numbers


def _kmeans(x: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Numbers of the nearest of that many centres, ``int64[R]``."""
    if count <= 1:
        return np.zeros(len(x), dtype=np.int64)
    sample = x[random.permutation(len(x))[: count * _SAMPLE]]
    centres = sample[:count].copy()
    for _ in range(_ROUNDS):
        means, sizes = group_means(sample, _nearest(sample, centres), len(centres))
        centres = np.where(sizes[:, None] > 0, means, centres)
    return _nearest(x, centres)


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    half, together = np.square(centres).sum(1) / 2, max(_PRODUCTS // centres.size, 1)
    found = np.empty(len(x), dtype=np.int64)
    for first in range(0, len(x), together):
        rows = slice(first, first + together)
        found[rows] = (x[rows] @ centres.T - half).argmax(1)
    return found


def group_means(x: np.ndarray, group: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Means ``f32[count, d]``, 0 of what is empty, and sizes ``int64[count]`` of groups."""
    sizes = np.bincount(group, minlength=count)
    some = np.flatnonzero(sizes)
    means = np.zeros((count, x.shape[1]), dtype=np.float32)
    ordered = x[np.argsort(group.astype(np.min_scalar_type(count)), kind="stable")]
    firsts = (np.cumsum(sizes) - sizes)[some]
    means[some] = np.add.reduceat(ordered, firsts, axis=0) / sizes[some, None]
    return means, sizes
