"""The inverted index: for each latent, the tokens at which it is active."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from s3_retriever.codec import Bank, Codes
    from s3_retriever.reading.clock import ScanClock

RUN_TOKENS = 16_384
"""Codes are inverted once there are so many tokens of them: what is held besides the result stays
small, and each run is made while the model reads the next."""


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
    def of(cls, latents: np.ndarray, values: np.ndarray, tokens: np.ndarray, count: int) -> Self:
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
    def of(cls, bank: Bank, codes: Codes) -> list[Self]:
        """Invert the codes of a text, for each SAE of a bank."""
        latents, values = codes.latents.numpy(), codes.values.numpy()
        firsts = range(0, max(len(latents), 1), RUN_TOKENS)
        parts = [slice(first, first + RUN_TOKENS) for first in firsts]
        tokens = np.arange(len(latents), dtype=np.int32)
        return cls.joined(_invert(bank, latents[p], values[p], tokens[p]) for p in parts)

    @classmethod
    def joined(cls, runs: Iterable[list[Run]]) -> list[Self]:
        """Put together runs that hold one entry for each SAE."""
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
    def idf(self) -> np.ndarray:
        """``f64[n_latents]``: ``1 / (log(1 + freq) + 1)``, freq the number of a latent's posts."""
        frequency = np.sum([np.diff(run.starts) for run in self.runs], axis=0)
        weights: np.ndarray = 1 / (np.log1p(frequency) + 1)
        return weights


def _invert(bank: Bank, latents: np.ndarray, values: np.ndarray, tokens: np.ndarray) -> list[Run]:
    """A run for each SAE."""
    return [
        Run.of(latents[:, bank.slots(j)], values[:, bank.slots(j)], tokens, sae.n_latents)
        for j, sae in enumerate(bank.saes)
    ]


class PostingsBuilder:
    """Builds postings during a scan, in a thread beside the model's next batches.

    Args:
        bank: The codec.
        clock: Times the stage ``postings``.
    """

    def __init__(self, bank: Bank, clock: ScanClock) -> None:
        self._bank, self._clock = bank, clock
        none = np.empty((0, bank.width), np.uint16), np.empty((0, bank.width), np.uint8)
        self._waiting: list[tuple[np.ndarray, ...]] = [(*none, np.empty(0, np.int32))]
        self._runs: list[Future[list[Run]]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="s3-postings")

    def close(self) -> None:
        """End the thread; runs that have not begun are given up."""
        self._pool.shutdown(cancel_futures=True)

    def put(self, latents: np.ndarray, values: np.ndarray, tokens: np.ndarray) -> None:
        """Take the codes of some tokens, which come in any order.

        Args:
            latents: ``uint16[t, S]``.
            values: ``uint8[t, S]``.
            tokens: ``int32[t]``, their numbers in the whole text.
        """
        self._waiting.append((latents, values, tokens))
        if sum(len(part[2]) for part in self._waiting) >= RUN_TOKENS:
            self._begin_run()

    def _begin_run(self) -> None:
        self._runs.append(self._pool.submit(self._run, self._waiting))
        self._waiting = []

    def _run(self, parts: list[tuple[np.ndarray, ...]]) -> list[Run]:
        with self._clock.host_stage("postings"):
            latents, values, tokens = map(np.concatenate, zip(*parts, strict=True))
            return _invert(self._bank, latents, values, tokens)

    def done(self) -> list[Postings]:
        """Wait for the last run; the postings for each SAE."""
        if self._waiting:
            self._begin_run()
        return Postings.joined(run.result() for run in self._runs)
