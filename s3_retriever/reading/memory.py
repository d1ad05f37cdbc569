"""How much accelerator memory a forward pass may take, and how many tokens that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_HEADROOM = 0.9
_MOST_TOKENS = 1 << 18


def fitting_tokens(
    limit: int, row_tokens: int, forward: Callable[[int], None], device: torch.device
) -> int:
    """Measure what a forward pass takes and return how many tokens fit in a limit.

    One row and then two are read; the difference is the price of a row, the rest is fixed.

    Args:
        limit: Bytes allowed above the weights, that is above what is allocated now.
        row_tokens: Tokens in one row of the probe.
        forward: Runs the pass to be measured with that many rows, keeping nothing.
        device: The CUDA device that the pass runs on.

    Returns:
        Tokens of one batch, padding included.

    Raises:
        InputError: not even 16 tokens fit.
    """
    forward(1)  # warms up the libraries, whose workspaces stay allocated
    first, second = _peak(forward, 1, device), _peak(forward, 2, device)
    per_token = max((second - first) / row_tokens, 1.0)
    fixed = max(first - per_token * row_tokens, 0.0)
    tokens = int((limit * _HEADROOM - fixed) / per_token)
    if tokens < 16:
        need = int((fixed + 16 * per_token) / _HEADROOM) + 1
        raise InputError(
            f"max_memory of {limit:,} bytes holds fewer than 16 tokens of this model; "
            f"allow at least {need:,} bytes"
        )
    return min(tokens, _MOST_TOKENS)


def _peak(forward: Callable[[int], None], rows: int, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    forward(rows)
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
