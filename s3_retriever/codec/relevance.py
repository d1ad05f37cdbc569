"""How likely a span is to hold evidence: a logistic regression, part of a bank."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

FEATURES = ("words", "attention", "meaning", "whole")
"""What a question and a span have in common; see `s3_retriever.searching.relevance`."""


@dataclass(frozen=True, slots=True)
class RelevanceHead:
    """A logistic regression over `FEATURES`.

    Attributes:
        bias: Log-odds where all features are 0.
        weights: Of each feature, at least 0: nothing in common makes a span less relevant.
        metadata: What it was fitted on; JSON-serialisable.

    Raises:
        InputError: other features, or numbers that are negative, infinite or NaN.
    """

    bias: float
    weights: Mapping[str, float]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sorted(self.weights) != sorted(FEATURES):
            wanted = ", ".join(FEATURES)
            raise InputError(f"relevance head: weights of {[*self.weights]}, want {wanted}")
        if not np.isfinite([self.bias, *self.weights.values()]).all():
            raise InputError("relevance head: a number is NaN or infinite")
        if min(self.weights.values()) < 0:
            raise InputError("relevance head: weights must not be negative")

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probabilities ``f64[S]`` of features ``f64[S, F]``, in the order of `FEATURES`."""
        odds = features @ np.array([self.weights[name] for name in FEATURES]) + self.bias
        probabilities: np.ndarray = 1 / (1 + np.exp(-odds))
        return probabilities

    def described(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "bias": self.bias,
            "weights": dict(self.weights),
            "fitted_on": dict(self.metadata),
        }

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """Undo `described`.

        Raises:
            KeyError, TypeError, ValueError: something is missing, or of another kind.
            InputError: as for the class.
        """
        weights = {name: float(value) for name, value in dict(described["weights"]).items()}
        return cls(float(described["bias"]), weights, described["fitted_on"])
