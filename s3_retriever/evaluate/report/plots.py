"""The plots of a report."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.evaluate.metrics import evidence_recall, mean
from s3_retriever.evaluate.report import svg
from s3_retriever.evaluate.report.table import describe, named

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_retriever.evaluate.results import Evaluation, Row

TONES = 10
"""Colours of the page; rankers beyond them begin again."""

_POINTS = 16


def css_class(found: Evaluation, row: Row) -> str:
    """The class that gives a ranker its colour on the whole page."""
    names = [contender.name for contender in found.contenders]
    return f"tone-{names.index(row.name) % TONES}"


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A ranker in the legend; hovering over one brings it out in all plots.

    Attributes:
        name: The ranker's.
        css_class: See `css_class`.
        role: See `s3_retriever.evaluate.rankers.contenders.Role`.
    """

    name: str
    css_class: str
    role: str


def legend(found: Evaluation) -> list[LegendEntry]:
    """The rankers with their colours."""
    return [LegendEntry(named(row), css_class(found, row), row.role) for row in _measured(found)]


def curve_plot(found: Evaluation) -> str:
    """Recall against budget, means over sets, which must hold some evidence."""
    most = max(found.budgets)
    budgets = np.linspace(0, most, _POINTS + 1).round().astype(int).tolist()
    series = [
        svg.Series(
            named(row),
            css_class(found, row),
            tuple((float(budget), 100 * _recall(found, row, budget)) for budget in budgets),
            dashed=row.role == "reference",
        )
        for row in _measured(found)
    ]
    return svg.lines(series, "characters", "evidence recall, %")


def _recall(found: Evaluation, row: Row, budget: int) -> float:
    means = [
        mean(
            np.array(
                [
                    evidence_recall(hits, question.evidence, budget)
                    for hits, question in zip(run.hits, labelled.questions, strict=True)
                ]
            )
        )
        for run, labelled in zip(row.runs, found.sets, strict=True)
    ]
    return mean(np.array(means))


def set_plot(found: Evaluation) -> str:
    """Bars of every set, and of the mean, without the references."""
    rows = [row for row in _measured(found) if row.role != "reference"]
    kept = [
        place
        for place in range(len(found.sets))
        if not all(isnan(row.means(found.metric)[place]) for row in rows)
    ]
    if not rows:
        return ""
    groups = [*(found.sets[place].name for place in kept), "mean"]
    series = []
    for row in rows:
        means = row.means(found.metric)
        values = [*(means[place] for place in kept), row.mean(found.metric)]
        points = tuple((float(n), 100 * v) for n, v in enumerate(values) if not isnan(v))
        series.append(svg.Series(named(row), css_class(found, row), points))
    return svg.bars(series, groups, describe(found.metric))


def interval_plot(found: Evaluation) -> str:
    """Differences to the best baseline, with their confidence intervals."""
    gaps = [(row, gap) for row in _measured(found) if (gap := found.difference(row)) is not None]
    base = found.baseline
    if not gaps or base is None:
        return ""
    series = [
        svg.Series(
            named(row),
            css_class(found, row),
            tuple((100 * value, 0.0) for value in (gap.mean, gap.low, gap.high)),
        )
        for row, gap in gaps
    ]
    titles = [row.title for row, _ in gaps]
    return svg.intervals(series, titles, f"points above {named(base)}")


def cost_plots(found: Evaluation) -> list[tuple[str, str]]:
    """Quality against what it costs: titles and charts."""
    costs: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
        ("Indexing", "seconds to index all sets", lambda row: row.cost.index_seconds),
        ("Searching", "milliseconds a search", lambda row: 1000 * row.cost.search_seconds),
        ("Storing", "bytes a token", lambda row: row.cost.bytes_per_token),
    )
    rows = _measured(found)
    return [
        (
            title,
            svg.scatter(
                [
                    svg.Series(
                        named(row),
                        css_class(found, row),
                        ((cost(row), 100 * row.mean(found.metric)),),
                    )
                    for row in rows
                ],
                name,
                "evidence recall, %",
            ),
        )
        for title, name, cost in costs
    ]


def _measured(found: Evaluation) -> list[Row]:
    return [row for row in found.rows if not isnan(row.mean(found.metric))]
