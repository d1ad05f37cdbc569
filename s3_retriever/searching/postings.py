"""The inverted index: for each latent, the tokens at which it is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from s3_retriever.codec import Bank, JoinedCodes

RUN_TOKENS = 16_384
"""Tokens whose codes are inverted at a time."""


@dataclass(frozen=True, slots=True)
class Run:
    """For each latent of one SAE, at which of some tokens it is active.

    Attributes:
        starts: ``int32[n_latents + 1]``; latent f has the tokens ``starts[f]`` to
            ``starts[f + 1]``.
        tokens: ``int32[P]``, numbers of text tokens.
    """

    starts: np.ndarray
    tokens: np.ndarray

    @classmethod
    def invert(
        cls, latents: np.ndarray, values: np.ndarray, tokens: np.ndarray, count: int
    ) -> Self:
        """Invert the codes of some tokens.

        Args:
            latents: ``uint16[t, k]``, of one SAE.
            values: ``uint8[t, k]``; where it is 0, the slot is empty.
            tokens: ``int32[t]``, numbers of the tokens.
            count: Latents of the SAE.
        """
        used = values > 0
        active = latents[used]
        order = np.argsort(active, kind="stable")  # of two bytes: linear in their number
        ends = np.cumsum(np.bincount(active, minlength=count))
        starts = np.concatenate([[0], ends]).astype(np.int32)
        return cls(starts, np.repeat(tokens, used.sum(1))[order])


@dataclass(frozen=True, slots=True)
class Postings:
    """The inverted index of a text for one SAE, in runs of some tokens each."""

    runs: tuple[Run, ...]

    @classmethod
    def invert(cls, bank: Bank, codes: JoinedCodes, run_tokens: int = RUN_TOKENS) -> list[Self]:
        """Invert the codes of a text, for each SAE of a bank.

        Args:
            bank: With which the codes were made.
            codes: Of the T tokens.
            run_tokens: Tokens that are inverted at a time, which bounds what is held besides the
                result.
        """
        firsts = range(0, max(len(codes), 1), run_tokens)
        runs = [_invert(bank, codes, first, first + run_tokens) for first in firsts]
        return [cls(own) for own in zip(*runs, strict=True)]

    def sums(self, weights: np.ndarray, length: int) -> np.ndarray:
        """Add up, for each token, weights of the latents that are active there.

        Args:
            weights: ``f64[n_latents]``; the posts of latents of weight 0 are not read.
            length: T, the number of tokens.

        Returns:
            ``f64[T]``.
        """
        active = np.flatnonzero(weights)
        posts, every = [np.zeros(0, np.int32)], [np.zeros(0)]
        for run in self.runs:
            bounds = run.starts[active], run.starts[active + 1]
            posts += [run.tokens[first:last] for first, last in zip(*bounds, strict=True)]
            every.append(np.repeat(weights[active], bounds[1] - bounds[0]))
        return np.bincount(np.concatenate(posts), np.concatenate(every), minlength=length)

    @property
    def frequency(self) -> np.ndarray:
        """``int64[n_latents]``: the number of each latent's posts."""
        frequency: np.ndarray = np.sum([np.diff(run.starts) for run in self.runs], axis=0)
        return frequency


def rarity_of(frequency: np.ndarray) -> np.ndarray:
    """``f64[n]``: ``1 / (log(1 + freq) + 1)`` of latents, the IDF of arXiv 2601.17702."""
    rarity: np.ndarray = 1 / (np.log1p(frequency) + 1)
    return rarity


def _invert(bank: Bank, codes: JoinedCodes, first: int, last: int) -> list[Run]:
    """A run for each SAE, of the tokens from `first` to `last`."""
    some = codes.rows(slice(first, last))
    latents, values = some.latents.numpy(), some.values.numpy()
    tokens = np.arange(first, first + len(latents), dtype=np.int32)
    return [
        Run.invert(latents[:, bank.slots(j)], values[:, bank.slots(j)], tokens, sae.n_latents)
        for j, sae in enumerate(bank.saes)
    ]
