"""What an evaluation found: per-question values, and the rows of its tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.evaluate.metrics import bootstrap, mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s3_retriever.evaluate.rankers.contenders import Contender, Role
    from s3_retriever.evaluate.rankers.hits import Hit
    from s3_retriever.labelled.sets import LabelledSet
    from s3_retriever.searching.heat import Heat

BUDGETS = (1000, 2000, 4000)
"""Characters of retrieved text at which evidence recall and precision are reported."""

READER_METRICS = {
    "em": "exact match",
    "f1": "token F1",
    "in_context": "answer in context",
    "nll": "NLL of the answer",
    "kl": "KL to full context",
}
"""Measures of answers, by name: the last two are in nats, and lower is better."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a ranker costs on one set.

    Attributes:
        index_seconds: Until it can answer, the first question included.
        search_seconds: Mean over questions.
        bytes_per_token: Kept besides the texts, for each token of the model.
    """

    index_seconds: float
    search_seconds: float
    bytes_per_token: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One variant of one ranker on one set.

    Attributes:
        ranker: Name.
        variant: Label.
        set: Name.
        values: For each metric, ``f64[Q]``; NaN where a question has no value.
        hits: For each question, up to the largest budget.
        cost: What it took.
        heat: Where it was kept: for the number of a question, the heat of each hit.
        answers: What the reader answered each question, where it was asked; else empty.
    """

    ranker: str
    variant: str
    set: str
    values: Mapping[str, np.ndarray]
    hits: tuple[tuple[Hit, ...], ...]
    cost: Cost
    heat: Mapping[int, tuple[Heat, ...]] = field(default_factory=dict)
    answers: tuple[str, ...] = ()

    def mean(self, metric: str) -> float:
        """Mean over the questions that have a value; NaN where none has."""
        return mean(self.values.get(metric, np.array([])))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A ranker at its best variant: one run on each set.

    Attributes:
        name: Of the ranker.
        title: For tables.
        role: ``"ours"``, ``"reference"`` or ``"baseline"``.
        variant: Label of the variant shown.
        runs: In the order of the sets.
    """

    name: str
    title: str
    role: Role
    variant: str
    runs: tuple[Run, ...]

    def means(self, metric: str) -> list[float]:
        """The mean on each set; NaN where the set has no value."""
        return [run.mean(metric) for run in self.runs]

    def mean(self, metric: str) -> float:
        """The mean over the sets that have a value, each set counting the same."""
        return mean(np.array(self.means(metric)))

    @property
    def cost(self) -> Cost:
        """Total seconds of indexing, mean seconds of a search, mean bytes per token."""
        costs = [run.cost for run in self.runs]
        return Cost(
            index_seconds=sum(cost.index_seconds for cost in costs),
            search_seconds=float(np.mean([cost.search_seconds for cost in costs])),
            bytes_per_token=float(np.mean([cost.bytes_per_token for cost in costs])),
        )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference of means over sets, with its 95% confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Rankers side by side.

    Attributes:
        sets: The questions asked of each corpus.
        contenders: Who took part.
        runs: Every variant of every contender on every set.
        budgets: Characters.
        seed: Of the bootstrap.
        about: Versions, machine and model; JSON-serialisable.
    """

    sets: tuple[LabelledSet, ...]
    contenders: tuple[Contender, ...]
    runs: tuple[Run, ...]
    budgets: tuple[int, ...]
    seed: int
    about: Mapping[str, Any]

    @property
    def metric(self) -> str:
        """The metric that rankers are compared by: recall at 2000 characters, or near it."""
        return f"recall@{min(self.budgets, key=lambda budget: abs(budget - 2000))}"

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Each contender at the variant with the best mean over sets."""
        return tuple(max(self.variants(c), key=self._merit) for c in self.contenders)

    def variants(self, contender: Contender) -> list[Row]:
        """A row for each variant of a contender."""
        return [
            Row(
                name=contender.name,
                title=contender.title,
                role=contender.role,
                variant=variant.label,
                runs=tuple(
                    run
                    for run in self.runs
                    if (run.ranker, run.variant) == (contender.name, variant.label)
                ),
            )
            for variant in contender.variants
        ]

    @cached_property
    def baseline(self) -> Row | None:
        """The baseline with the best mean; None where there is none."""
        rows = [row for row in self.rows if row.role == "baseline"]
        return max(rows, key=self._merit, default=None)

    def difference(self, row: Row, metric: str | None = None) -> Difference | None:
        """A row's mean less that of the best baseline; None where there is nothing to compare."""
        base, metric = self.baseline, metric or self.metric
        if base is None or base is row or np.isnan(row.mean(metric) - base.mean(metric)):
            return None
        pairs = [
            (one.values[metric], other.values[metric])
            for one, other in zip(row.runs, base.runs, strict=True)
            if metric in one.values and metric in other.values
        ]
        low, high = bootstrap(*map(list, zip(*pairs, strict=True)), seed=self.seed)
        return Difference(mean=row.mean(metric) - base.mean(metric), low=low, high=high)

    @cached_property
    def kinds(self) -> dict[str, list[np.ndarray]]:
        """For every type of question, ``bool[Q]`` of each set; empty where no set has types."""
        names = dict.fromkeys(q.kind for labelled in self.sets for q in labelled.questions)
        return {
            name: [np.array([q.kind == name for q in s.questions]) for s in self.sets]
            for name in names
            if name
        }

    def kind_means(self, row: Row) -> dict[str, float]:
        """For every type of question the mean of `metric`, over the questions of all sets."""
        return {
            kind: mean(
                np.concatenate(
                    [run.values[self.metric][m] for run, m in zip(row.runs, masks, strict=True)]
                )
            )
            for kind, masks in self.kinds.items()
        }

    def exchange(self, runs: Mapping[int, Run]) -> Evaluation:
        """A copy with other runs in place of those whose `id` is given."""
        return replace(self, runs=tuple(runs.get(id(run), run) for run in self.runs))

    def _merit(self, row: Row) -> float:
        score = row.mean(self.metric)
        return -1.0 if np.isnan(score) else score


def retrieval_metrics(budgets: Iterable[int]) -> list[str]:
    """Names of the measures of what was retrieved."""
    sized = [f"{name}@{budget}" for name in ("recall", "precision") for budget in budgets]
    return [*sized, "mrr"]
