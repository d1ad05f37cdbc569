"""The tables of an evaluation, for a terminal."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from s3_retriever.evaluate.results import READER_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s3_retriever.evaluate.results import Evaluation, Row

_NAME = 12
NOTHING = "·"
"""Stands for a value that does not exist."""


def tables(found: Evaluation) -> str:
    """All tables of an evaluation: the comparison, budgets and costs, types, answers."""
    sections = [_comparison(found), _overview(found), *_kinds(found), *_answers(found)]
    return "\n\n".join(sections)


def variants_table(found: Evaluation) -> str:
    """Every variant of every ranker, not only the best."""
    rows = [row for c in found.contenders for row in found.variants(c)]
    return _table(
        f"Every variant, {describe(found.metric)}",
        ["ranker", *_heads(found), "mean"],
        [[named(row), *map(percent, row.means(found.metric)), _mean(found, row)] for row in rows],
    )


def describe(metric: str) -> str:
    """A metric in words: ``"recall@2000"`` is evidence recall at 2000 characters, in percent."""
    name, _, budget = metric.partition("@")
    words = {"recall": "evidence recall", "precision": "evidence precision"}.get(name, name)
    return f"{words} at {budget} characters, %" if budget else READER_METRICS.get(name, words)


def _comparison(found: Evaluation) -> str:
    rows = [
        [
            named(row),
            *map(percent, row.means(found.metric)),
            _mean(found, row),
            difference(found, row),
        ]
        for row in found.rows
    ]
    base = found.baseline
    against = f"; the last column is the difference to {named(base)}" if base else ""
    return _table(
        f"{describe(found.metric).capitalize()}{against}",
        ["ranker", *_heads(found), "mean", "difference [95% CI]"],
        rows,
    )


def _overview(found: Evaluation) -> str:
    budgets = [f"recall@{budget}" for budget in found.budgets]
    precisions = [f"precision@{budget}" for budget in found.budgets]
    heads = [
        "ranker",
        *(f"R@{budget}" for budget in found.budgets),
        *(f"P@{budget}" for budget in found.budgets),
        "MRR",
        "index s",
        "search ms",
        "bytes/token",
    ]
    rows = [
        [
            named(row),
            *(percent(row.mean(metric)) for metric in (*budgets, *precisions, "mrr")),
            f"{row.cost.index_seconds:.1f}",
            f"{1000 * row.cost.search_seconds:.0f}",
            f"{row.cost.bytes_per_token:.0f}",
        ]
        for row in found.rows
    ]
    return _table("Means over sets, %, and costs", heads, rows)


def _kinds(found: Evaluation) -> list[str]:
    """Recall by type of question, over the questions of all sets together."""
    if not found.kinds:
        return []
    counts = {kind: sum(int(m.sum()) for m in masks) for kind, masks in found.kinds.items()}
    heads = ["ranker", *(f"{kind} ({counts[kind]})" for kind in found.kinds)]
    rows = [
        [named(row), *(percent(value) for value in found.kind_means(row).values())]
        for row in found.rows
    ]
    return [_table(f"{describe(found.metric).capitalize()}, by type of question", heads, rows)]


def _answers(found: Evaluation) -> list[str]:
    if not any(metric in run.values for run in found.runs for metric in READER_METRICS):
        return []
    formats: dict[str, Callable[[float], str]] = {"nll": nats, "kl": nats}
    rows = [
        [
            named(row),
            *(formats.get(metric, percent)(row.mean(metric)) for metric in READER_METRICS),
        ]
        for row in found.rows
    ]
    title = "Answers of the same reader, means over sets: %, and nats (lower is better)"
    return [_table(title, ["ranker", *READER_METRICS.values()], rows)]


def named(row: Row) -> str:
    """Title and variant of a row."""
    return f"{row.title} ({row.variant})" if row.variant else row.title


def percent(share: float) -> str:
    """A share in percent, with one decimal."""
    return NOTHING if isnan(share) else f"{100 * share:.1f}"


def nats(value: float) -> str:
    """Nats, with two decimals."""
    return NOTHING if isnan(value) else f"{value:.2f}"


def difference(found: Evaluation, row: Row) -> str:
    """The difference to the best baseline in points, with its confidence interval."""
    gap = found.difference(row)
    if gap is None:
        return "best baseline" if row is found.baseline else NOTHING
    mean, low, high = (f"{100 * value:+.1f}" for value in (gap.mean, gap.low, gap.high))
    return f"{mean} [{low}, {high}]"


def _mean(found: Evaluation, row: Row) -> str:
    return percent(row.mean(found.metric))


def _heads(found: Evaluation) -> list[str]:
    return [_short(labelled.name) for labelled in found.sets]


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (heads, ["─" * width for width in widths], *rows)
    ]
    return "\n".join([title, *lines])
