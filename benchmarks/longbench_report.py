"""What the outcomes of LongBench's items say: scores, retention and intervals, without texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from longbench_asking import FULL
from longbench_tasks import TASKS

from s3_retriever.evaluate.metrics import bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from longbench_asking import Retriever

    Outcome = Mapping[str, Any]

OURS = "attention+bm25"
HOPS = ("in_context", "nll", "kl")
_SAMPLES = 2000


def report(
    outcomes: Sequence[Outcome], contenders: Sequence[Retriever], seed: int = 0
) -> dict[str, Any]:
    """Everything that tables show.

    Args:
        outcomes: Of items, each by all contenders.
        contenders: Who retrieved.
        seed: Of the bootstrap.

    Returns:
        For each task the number of items, of those whose context fitted the window, and mean
        scores; for each contender the mean over tasks, retention, and the difference to the full
        context and of ours to it, with 95% intervals; retention where all fitted; and for
        questions of several hops the means of `HOPS`.
    """
    by_task = {
        name: own for name in TASKS if (own := [one for one in outcomes if one["task"] == name])
    }
    names = [FULL, *(one.name for one in contenders)]
    titles = {FULL: ("full context", "")} | {c.name: (c.title, c.variant) for c in contenders}
    tasks = [
        {
            "name": name,
            "items": len(own),
            "whole": sum(one["whole"] for one in own),
            "tokens": round(float(np.mean([one["tokens"] for one in own]))),
            "scores": {each: _percent(_values(own, each, "score").mean()) for each in names},
        }
        for name, own in by_task.items()
    ]
    everything = [*by_task.values()]
    whole = [kept for own in everything if (kept := [one for one in own if one["whole"]])]
    rows = []
    for name in names:
        title, variant = titles[name]
        rows.append(
            {"name": name, "title": title, "variant": variant}
            | compared(everything, name, seed)
            | {"where_whole": _retained(_scores(whole, name), _scores(whole, FULL), seed)}
        )
    hops = [own for name, own in by_task.items() if TASKS[name].hops]
    return {
        "items": len(outcomes),
        "items_whole": sum(map(len, whole)),
        "tasks": tasks,
        "rows": rows,
        "hops": {name: _hops(hops, name) for name in names} if hops else {},
        "hops_items": sum(map(len, hops)),
    }


def compared(by_task: Sequence[Sequence[Outcome]], name: str, seed: int) -> dict[str, Any]:
    """A contender beside the full context, and ours beside it.

    Args:
        by_task: Outcomes of each task.
        name: Of the contender.
        seed: Of the bootstrap.

    Returns:
        Scores in percent. Differences are mean, low and high of the 95% interval by the paired
        bootstrap over items; None where there is nothing to compare.
    """
    own, full, ours = (_scores(by_task, each) for each in (name, FULL, OURS))
    used = [value for task in by_task for value in _values(task, name, "tokens")]
    return {
        "tokens": round(float(np.mean(used))) if used else None,
        "mean": _percent(_over_tasks(own)),
        "retention": None if name == FULL else _retained(own, full, seed),
        "to_full": None if name == FULL else _difference(own, full, seed),
        "ours_to_this": None if name == OURS else _difference(ours, own, seed),
    }


def retention_interval(
    own: Sequence[np.ndarray], full: Sequence[np.ndarray], seed: int
) -> tuple[float, float]:
    """95% interval of the ratio of two means over tasks, by the paired bootstrap over items.

    Args:
        own: ``f[n]`` of each task.
        full: Likewise, of the same items.
        seed: Of the generator.

    Returns:
        Lower and upper bound; resamples in which the full context scores 0 are left out.
    """
    random = np.random.default_rng(seed)
    over, under = np.zeros(_SAMPLES), np.zeros(_SAMPLES)
    for one, other in zip(own, full, strict=True):
        drawn = random.integers(len(one), size=(_SAMPLES, len(one)))
        over += one[drawn].mean(1)
        under += other[drawn].mean(1)
    ratios = over[under > 0] / under[under > 0]
    if not len(ratios):
        return math.nan, math.nan
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def _retained(
    own: Sequence[np.ndarray], full: Sequence[np.ndarray], seed: int
) -> list[float | None] | None:
    base = _over_tasks(full)
    if not base > 0:
        return None
    return [
        _percent(value) for value in (_over_tasks(own) / base, *retention_interval(own, full, seed))
    ]


def _difference(
    one: Sequence[np.ndarray], other: Sequence[np.ndarray], seed: int
) -> list[float | None]:
    middle = _over_tasks(one) - _over_tasks(other)
    return [_percent(value) for value in (middle, *bootstrap(one, other, seed=seed))]


def _hops(by_task: Sequence[Sequence[Outcome]], name: str) -> dict[str, float]:
    """Means over the questions of all tasks of several hops."""
    items = [one for own in by_task for one in own]
    return {key: round(float(_values(items, name, key).mean()), 4) for key in HOPS}


def _scores(by_task: Sequence[Sequence[Outcome]], name: str) -> list[np.ndarray]:
    return [_values(own, name, "score") for own in by_task]


def _values(outcomes: Sequence[Outcome], name: str, key: str) -> np.ndarray:
    return np.array([one["contenders"][name][key] for one in outcomes], dtype=np.float64)


def _over_tasks(values: Sequence[np.ndarray]) -> float:
    return float(np.mean([own.mean() for own in values])) if values else math.nan


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else round(100 * float(share), 2)
