"""A sentence head of random weights, for tests of everything around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from s3_retriever.codec.sentences import SentenceHead, TokenNetwork

if TYPE_CHECKING:
    from s3_retriever.codec import Calibration

SIZE, WIDTH = 12, 8


def make_network(inputs: int, seed: int = 0) -> TokenNetwork:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random).half().float()

    return TokenNetwork(
        hidden=normal(inputs, WIDTH) / 4,
        hidden_bias=normal(WIDTH),
        out=normal(WIDTH, SIZE),
        skip=normal(inputs, SIZE),
        bias=normal(SIZE),
        gate=normal(WIDTH),
    )


def make_head(calibration: Calibration, seed: int = 0) -> SentenceHead:
    d = calibration.head_dim
    return SentenceHead(
        make_network(len(calibration.taps) * d, seed),
        make_network(len(calibration.heads) * d, seed + 1),
    )
