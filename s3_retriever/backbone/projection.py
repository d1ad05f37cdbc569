"""Where an attention module shows its keys and queries, before rotary embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The keys or queries of a layer in the output of a submodule.

    Attributes:
        module: The submodule, by its path in the attention module.
        heads_first: Whether the output is ``[B, heads, L, …]`` rather than ``[B, L, …]``.
        columns: ``int64[heads, d]``: where each head's numbers stand in a token's output.
        unit: Whether they are brought to a mean square of 1 behind the submodule.
    """

    module: str
    heads_first: bool
    columns: Tensor
    unit: bool = False

    def of(self, output: Tensor, head: int) -> Tensor:
        """The vectors ``[B, L, d]`` of one head, in memory of their own."""
        rows = by_token(output, self.heads_first)
        columns = self.columns[head]
        first, size = int(columns[0]), len(columns)
        if torch.equal(columns, torch.arange(first, first + size)):
            found = rows[..., first : first + size].clone()
        else:
            found = rows[..., columns.to(rows.device)]
        return unit(found) if self.unit else found


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """What is read in one layer.

    Attributes:
        attention: The attention module, by its path in the decoder.
        keys: Of the key-value heads.
        queries: Of the query heads.
    """

    attention: str
    keys: Projection
    queries: Projection


def by_token(output: Tensor, heads_first: bool) -> Tensor:
    """What a submodule gives for each token, ``[B, L, W]``."""
    return (output.transpose(1, 2) if heads_first else output).flatten(2)


def unit(vectors: Tensor) -> Tensor:
    """Vectors of mean square 1."""
    return torch.nn.functional.rms_norm(vectors, vectors.shape[-1:])
