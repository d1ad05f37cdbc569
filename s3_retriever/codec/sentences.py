"""Vectors of sentences and questions, made of the keys and queries that the model reads with.

A key of an early layer is mostly its token, so attention finds the words that a question uses.
What a sentence means in other words is spread over all of its keys: two small networks, one for
keys and one for queries, bring them into one space in which what means the same lies together.
They are trained to tell texts apart as a sentence embedding model does (distillation, arXiv
2002.10957), see `s3_retriever.fitting.sentences`; none takes part in an index or a search.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import gelu

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_GATE = 8.0
"""Bound on the logarithm of a token's weight."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TokenNetwork:
    """From what is read at a token to what it adds to the vector of a text.

    With ``h = gelu(x @ hidden + hidden_bias)``, a token adds ``exp(h @ gate) · (x @ skip + h @ out
    + bias)``. The vector of a text is the direction of the sum over its tokens, so that sums over
    parts of a text are all that has to be kept of them.

    Attributes:
        hidden: ``f32[I, W]``.
        hidden_bias: ``f32[W]``.
        out: ``f32[W, E]``.
        skip: ``f32[I, E]``.
        bias: ``f32[E]``.
        gate: ``f32[W]``.

    Raises:
        InputError: shapes that do not fit each other.
    """

    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor
    skip: Tensor
    bias: Tensor
    gate: Tensor

    def __post_init__(self) -> None:
        inputs, width = self.hidden.shape
        size = len(self.bias)
        wanted = {
            "hidden_bias": (width,),
            "out": (width, size),
            "skip": (inputs, size),
            "gate": (width,),
        }
        for name, shape in wanted.items():
            if tuple(getattr(self, name).shape) != shape:
                found = list(getattr(self, name).shape)
                raise InputError(f"sentence head: {name} is {found}, want {list(shape)}")

    def __call__(self, x: Tensor) -> Tensor:
        """What each token adds: ``f32[T, E]`` for ``f32[T, I]``."""
        h = gelu(x @ self.hidden + self.hidden_bias)
        weight = (h @ self.gate).clamp(-MOST_GATE, MOST_GATE).exp()
        added: Tensor = weight[:, None] * (x @ self.skip + h @ self.out + self.bias)
        return added


_NETWORK = tuple(field.name for field in fields(TokenNetwork))
_SIDES = ("keys", "queries")

SENTENCE_TENSORS = tuple(f"{side}_{name}" for side in _SIDES for name in _NETWORK)
"""Names of the tensors of a sentence head."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceHead:
    """Brings keys of a text and queries of a question into one space of E dimensions.

    Attributes:
        keys: Reads a token's calibrated keys at all taps, ``f32[N · d]``.
        queries: Reads a token's calibrated queries at all heads, ``f32[H · d]``.

    Raises:
        InputError: spaces of different size.
    """

    keys: TokenNetwork
    queries: TokenNetwork

    def __post_init__(self) -> None:
        if len(self.keys.bias) != len(self.queries.bias):
            raise InputError("sentence head: keys and queries lead into different spaces")

    @property
    def size(self) -> int:
        """E, the numbers of a vector."""
        return len(self.keys.bias)

    def question(self, queries: Tensor) -> Tensor:
        """The vector of a question, ``f32[E]`` of length 1, of calibrated ``f32[n, H, d]``."""
        return torch.nn.functional.normalize(self.queries(queries.flatten(1)).sum(0), dim=0)

    def tensors(self) -> dict[str, Tensor]:
        """All weights, by the names in `SENTENCE_TENSORS`."""
        networks = self.keys, self.queries
        weights = [getattr(network, name) for network in networks for name in _NETWORK]
        return dict(zip(SENTENCE_TENSORS, weights, strict=True))

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> SentenceHead:
        """Undo `tensors`.

        Raises:
            KeyError: one is missing.
            InputError: shapes that do not fit each other.
        """
        sides = ({name: tensors[f"{side}_{name}"] for name in _NETWORK} for side in _SIDES)
        return cls(*(TokenNetwork(**side) for side in sides))
