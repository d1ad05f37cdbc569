"""Some sentences share with their neighbours as they would among all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from passage_samples import some_passages
from s3_retriever.searching.neighbours import Neighbours, lend

RANDOM = np.random.default_rng(0)
PROSE = some_passages([RANDOM.integers(20, 320, size).tolist() for size in (50, 1, 90, 30)])
HEADER = np.full(len(PROSE), -1)
HEADER[4:9], HEADER[52:55], HEADER[57] = 3, -2, 56
PASSAGES = replace(PROSE, header=HEADER)
"""With a table whose header is sentence 3, records, and a row between prose."""

NUMBERS = np.array([0, 3, 4, 6, 49, 50, 51, 53, 56, 58, 100, 170])


@pytest.mark.parametrize("reach", [1e-6, 30.0, 200.0, 600.0])
def test_neighbours_lend_to_some(reach: float) -> None:
    values = torch.rand(len(PASSAGES), 3)
    found = Neighbours.of(PASSAGES, NUMBERS, reach)
    near = torch.from_numpy(found.near)
    whole = PASSAGES.smooth(values, reach, 3.0)[torch.from_numpy(NUMBERS)]
    torch.testing.assert_close(found.smooth(values[near], 3.0), whole)
    assert np.array_equal(found.near[found.places[:, 0]], NUMBERS)


@pytest.mark.parametrize("reach", [1e-6, 30.0, 200.0])
def test_some_lend_to_their_neighbours(reach: float) -> None:
    values = torch.zeros(len(PASSAGES))
    values[torch.from_numpy(NUMBERS)] = 1 + torch.rand(len(NUMBERS))
    near, lent = lend(PASSAGES, NUMBERS, values, reach, 3.0)
    whole = PASSAGES.smooth(values, reach, 3.0)
    assert set(np.flatnonzero(whole.numpy())) == set(near.tolist())
    torch.testing.assert_close(lent, whole[torch.from_numpy(near)])


def test_nothing_has_no_neighbours() -> None:
    none = np.arange(0)
    assert len(Neighbours.of(PASSAGES, none, 200.0).near) == 0
    near, lent = lend(PASSAGES, none, torch.zeros(len(PASSAGES)), 200.0, 3.0)
    assert len(near) == len(lent) == 0
