"""The seam to other texts that are searched as one with this one.

A search needs a few things of the whole: the sum of a softmax, means and deviations, in how many
sentences a word stands, which sentences are the best of all. Each is asked of a `Group` in the
place where it is needed, so that the same code searches one text and a part of a larger one. All
members ask the same things in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")

LOWEST = -1e30
"""A logit of nothing, with which one can reckon."""


class Group:
    """A text that is searched by itself; subclasses bring what other texts know.

    What is handed over is pickled where the others are elsewhere, so functions are those of
    modules, or `functools.partial` of such. Nothing is asked while a lock is held, for the others
    may need it to answer.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    @property
    def rank(self) -> int:
        """Which member this text is, counted from 0; documents are numbered in this order."""
        return 0

    def merged(self, own: T, how: Callable[[Sequence[T]], R]) -> R:
        """What all members know together.

        Args:
            own: What this text knows.
            how: Makes one of what each member knows, in their order.
        """
        return how([own])

    def constant(self, name: str, own: Callable[[], T], how: Callable[[Sequence[T]], R]) -> R:
        """What no question changes, so that it is asked once; see `merged`.

        Args:
            name: By which it is remembered.
            own: Makes what this text knows.
            how: As there.
        """
        if name not in self._known:
            self._known[name] = self.merged(own(), how)
        known: R = self._known[name]
        return known

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do things that do not need each other; where others must be asked, side by side.

        Args:
            works: The same ones, in the same order, in all members.
        """
        return [work() for work in works]


def listed(values: Sequence[T]) -> list[T]:
    """What each member knows, as it is."""
    return list(values)


def added(values: Sequence[Any]) -> Any:
    """Numbers or arrays, added up."""
    return sum(values[1:], values[0])


def total(values: Sequence[int]) -> int:
    """Numbers, added up."""
    return sum(values)


def largest(values: Sequence[int]) -> int:
    """The greatest of some numbers."""
    return max(values)


def greatest(values: Sequence[Tensor]) -> Tensor:
    """Arrays of numbers, the greatest of each place."""
    return torch.stack([*values]).amax(0)


def best(values: Sequence[Sequence[tuple[float, T]]], most: int) -> list[tuple[float, T]]:
    """Things with their scores, best first; ties go to the earlier member.

    Args:
        values: Of each member, best first.
        most: At most so many.
    """
    return sorted((one for own in values for one in own), key=itemgetter(0), reverse=True)[:most]


def best_of_all(scores: np.ndarray, most: int, group: Group) -> np.ndarray:
    """Which places of this text are among the best of all.

    Args:
        scores: ``f[C]``.
        most: At most so many, in all texts; ties go to the earlier member and place.
        group: The texts.

    Returns:
        ``int64[C']``, ascending.
    """
    own = _highest(scores, most)
    counts = group.merged(scores[own], partial(_shares_of_best, most=most))
    return np.sort(own[: counts[group.rank]])


def _highest(scores: np.ndarray, most: int) -> np.ndarray:
    """Places of the greatest scores, greatest first; ties go to the earlier place."""
    places = np.arange(len(scores))
    if len(scores) > most:
        least = np.partition(scores, -most)[-most]
        above, tied = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        places = np.concatenate([above, tied[: most - len(above)]])
    return places[np.argsort(-scores[places], kind="stable")]


def _shares_of_best(values: Sequence[np.ndarray], most: int) -> list[int]:
    """How many of each member's scores, greatest first, are among the greatest of all."""
    member = np.repeat(np.arange(len(values)), [*map(len, values)])
    order = np.argsort(-np.concatenate([*values]), kind="stable")[:most]
    counts: list[int] = np.bincount(member[order], minlength=len(values)).tolist()
    return counts


@dataclass(frozen=True, eq=False)
class LogSum:
    """Logarithms of sums, kept as the greatest summand and what all are in its measure.

    Attributes:
        highest: ``f32[…]``, logarithm of the greatest summand.
        mass: ``f32[…]``, the sum over ``exp(highest)``.
    """

    highest: Tensor
    mass: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Self:
        """Of ``exp`` of logits ``f32[t, …]``, over their first dimension."""
        if not len(logits):
            nothing = torch.full(logits.shape[1:], LOWEST)
            return cls(nothing, torch.zeros_like(nothing))
        highest = logits.amax(0).clamp_min_(LOWEST)
        return cls(highest, torch.exp(logits - highest).sum(0))

    @property
    def log(self) -> Tensor:
        """``f32[…]``: the logarithms; minus infinity where there is nothing."""
        return self.highest + torch.log(self.mass)


def joined_sums(values: Sequence[LogSum]) -> LogSum:
    """The sums of all members."""
    if len(values) == 1:
        return values[0]
    highest = greatest([own.highest for own in values])
    return LogSum(highest, added([own.mass * torch.exp(own.highest - highest) for own in values]))
