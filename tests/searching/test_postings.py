"""The inverted index against the codes it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from passage_samples import joined
from random_bank import make_bank
from s3_retriever.searching.postings import Postings

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone


@pytest.mark.parametrize("run", [1, 20, 1 << 14])
def test_postings_are_where_the_latents_are_active(run: int, tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    keys = torch.randn(90, 3, 16, generator=torch.Generator().manual_seed(0))
    codes = bank.encode(keys, torch.float32)
    built = Postings.invert(bank, joined(codes, 30, 31), run)
    assert len(built) == len(bank.saes)
    weights = np.random.default_rng(0).random(bank.saes[0].n_latents)
    for j, (posts, sae) in enumerate(zip(built, bank.saes, strict=True)):
        latents, active = codes.latents[:, bank.slots(j)].int(), codes.values[:, bank.slots(j)] > 0
        summed = (torch.from_numpy(weights)[latents] * active).sum(1)
        np.testing.assert_allclose(posts.sums(weights, 90), summed.numpy())
        frequency = torch.bincount(latents[active], minlength=sae.n_latents).numpy()
        assert posts.frequency.tolist() == frequency.tolist()


def test_postings_of_nothing(tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    none = bank.encode(torch.empty(0, 3, 16), torch.float32)
    weights = np.ones(bank.saes[0].n_latents)
    built = Postings.invert(bank, joined(none))
    assert [posts.sums(weights, 3).tolist() for posts in built] == [[0, 0, 0]] * len(bank.saes)
