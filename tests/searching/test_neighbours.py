"""Some sentences share with their neighbours as they would among all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from passage_samples import some_passages
from s3_retriever.searching.neighbours import Neighbours

RANDOM = np.random.default_rng(0)
PASSAGES = some_passages([RANDOM.integers(20, 320, size).tolist() for size in (50, 1, 90, 30)])
NUMBERS = np.array([0, 3, 4, 49, 50, 51, 100, 170])


@pytest.mark.parametrize("reach", [1e-6, 30.0, 200.0, 600.0])
def test_neighbours_lend_to_some(reach: float) -> None:
    values = torch.rand(len(PASSAGES), 3)
    found = Neighbours.of(PASSAGES, NUMBERS, reach)
    near = torch.from_numpy(found.near)
    whole = PASSAGES.smooth(values, reach, 3.0)[torch.from_numpy(NUMBERS)]
    torch.testing.assert_close(found.smooth(values[near], 3.0), whole)
    assert np.array_equal(found.near[found.own], NUMBERS)


@pytest.mark.parametrize("reach", [1e-6, 30.0, 200.0])
def test_some_lend_to_their_neighbours(reach: float) -> None:
    values = torch.zeros(len(PASSAGES))
    values[torch.from_numpy(NUMBERS)] = given = 1 + torch.rand(len(NUMBERS))
    found = Neighbours.of(PASSAGES, NUMBERS, reach)
    whole = PASSAGES.smooth(values, reach, 3.0)
    assert set(np.flatnonzero(whole.numpy())) == set(found.near.tolist())
    torch.testing.assert_close(found.lend(given, 3.0), whole[torch.from_numpy(found.near)])


def test_nothing_has_no_neighbours() -> None:
    found = Neighbours.of(PASSAGES, np.arange(0), 200.0)
    assert len(found.near) == 0 and found.lend(torch.zeros(0), 3.0).shape == (0,)
