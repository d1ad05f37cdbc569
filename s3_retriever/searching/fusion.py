"""Evidence of several kinds as one score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from s3_retriever.searching.group import Group, best_of_all
from s3_retriever.searching.moments import Moments, joined_moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.config import Weighing

ALONE = Group()
"""Of a text that is searched by itself; it is asked for nothing that is remembered."""


def standardise(scores: Tensor, group: Group = ALONE) -> Tensor:
    """Bring scores over all sentences (the first dimension) to mean 0 and deviation 1.

    Args:
        scores: ``f32[A, …]``.
        group: In whose texts all sentences are.
    """
    own, centred = Moments.and_centred(scores)
    whole = group.merged(own, joined_moments)
    if whole is not own:
        centred += (own.mean - whole.mean).to(centred.dtype)
    return (centred / whole.deviation).to(scores.dtype)


def standardise_some(scores: Tensor, sentences: int, group: Group = ALONE) -> tuple[Tensor, float]:
    """Bring the scores of some sentences, those of all others being 0, to mean 0 and deviation 1.

    Args:
        scores: ``f32[C]``.
        sentences: A, how many there are with the others.
        group: In whose texts all sentences are.

    Returns:
        Their scores ``f32[C]`` and that of all others, as `standardise` has them.
    """
    whole = group.merged(Moments.of_some(scores, sentences), joined_moments)
    rest = float(whole.standardised(torch.zeros(1, dtype=torch.double)))
    return whole.standardised(scores.double()).float(), rest


def fuse(parts: Mapping[str, Tensor], weighing: Weighing) -> Tensor:
    """Weigh and add the parts of a score, ``f32[C]`` each."""
    weights = weighing.weights
    return torch.stack([weights[name] * scores for name, scores in parts.items()]).sum(0)


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one question's candidates.

    Attributes:
        candidates: ``int64[C]``, numbers of the sentences that were scored, ascending.
        parts: By name, ``f32[C]`` each, standardised.
        weighing: How the parts are weighed.
    """

    candidates: np.ndarray
    parts: Mapping[str, Tensor]
    weighing: Weighing

    @cached_property
    def total(self) -> Tensor:
        """``f32[C]``: the parts, weighed and added."""
        return fuse(self.parts, self.weighing)

    def best(self, most: int, group: Group) -> np.ndarray:
        """The candidates of the highest totals: ``int64[C']``, ascending.

        Args:
            most: At most so many, in all texts of a group.
            group: The texts.
        """
        best: np.ndarray = self.candidates[best_of_all(self.total.numpy(), most, group)]
        return best

    def over(self, sentences: int, rest: float) -> Tensor:
        """The total as ``f32[A]``, with `rest` for sentences that were not scored."""
        whole = torch.full((sentences,), rest)
        whole[torch.from_numpy(self.candidates)] = self.total
        return whole

    def place(self, sentence: int) -> int:
        """Where a candidate stands among the candidates."""
        return int(np.searchsorted(self.candidates, sentence))

    def plus(self, name: str, scores: Tensor, candidates: np.ndarray) -> Scores:
        """These scores and one more part.

        Args:
            name: Of the part.
            scores: ``f32[A]``, of all sentences.
            candidates: Sentences that become candidates, where they are not; their other parts are
                those of a mean sentence, 0.
        """
        numbers, parts = union(self.candidates, candidates), dict(self.parts)
        if len(numbers) > len(self.candidates):
            places = torch.from_numpy(np.searchsorted(numbers, self.candidates))
            for part, values in self.parts.items():
                parts[part] = torch.zeros(len(numbers)).index_copy(0, places, values)
        parts[name] = scores[torch.from_numpy(numbers)]
        return Scores(numbers, parts, self.weighing)


def union(*numbers: np.ndarray) -> np.ndarray:
    """Numbers from 0 on that stand in any of some arrays: ``int64[C]``, ascending, each once."""
    found = np.zeros(max(int(some.max(initial=-1)) for some in numbers) + 1, dtype=bool)
    for some in numbers:
        found[some] = True
    return np.flatnonzero(found)
