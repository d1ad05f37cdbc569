"""The tables of an evaluation: what they hold, and how a terminal shows them."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING

from s3_retriever.evaluate.results import READER_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3_retriever.evaluate.results import Evaluation, Row

_LONGEST = 20
NOTHING = "·"
"""Stands for a value that does not exist."""


@dataclass(frozen=True)
class Table:
    """Rankers below each other.

    Attributes:
        title: What is shown.
        heads: Of the columns, without that of the rankers.
        rows: The rankers.
        body: The cells of each row.
        best: Which cells are the best of their column, where that is told.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Row]
    body: Sequence[Sequence[str]]
    best: Sequence[Sequence[bool]] | None = None

    def marked(self) -> Iterator[tuple[Row, Sequence[str], Sequence[bool]]]:
        """Each row with its cells, and which of them are the best of their column."""
        none = [[False] * len(self.heads)] * len(self.rows)
        return zip(self.rows, self.body, self.best or none, strict=True)

    def __str__(self) -> str:
        lines = [["ranker", *map(_short, self.heads)]]
        lines += [[named(row), *cells] for row, cells in zip(self.rows, self.body, strict=True)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["─" * width for width in widths])
        return "\n".join([self.title, *(_line(cells, widths) for cells in lines)])


def tables(found: Evaluation) -> str:
    """All tables of an evaluation as text: the comparison, budgets and costs, types, answers."""
    shown = [comparison(found), overview(found), by_type(found), answers(found)]
    return "\n\n".join(str(table) for table in shown if table is not None)


def comparison(found: Evaluation) -> Table:
    """Each ranker at its best variant on every set, and how far it is from the best baseline."""
    values = [[*row.means(found.metric), row.mean(found.metric)] for row in found.rows]
    running = [row.role != "reference" for row in found.rows]
    tops = [
        percent(max((v for v, runs in zip(column, running, strict=True) if runs), default=nan))
        for column in zip(*values, strict=True)
    ]
    base = found.baseline
    against = f"; the last column is the difference to {named(base)}" if base else ""
    return Table(
        title=f"{describe(found.metric).capitalize()}{against}",
        heads=[*_names(found), "mean", "difference [95% CI]"],
        rows=found.rows,
        body=[
            [*map(percent, line), difference(found, row)]
            for line, row in zip(values, found.rows, strict=True)
        ],
        best=[
            [*(runs and percent(v) == top for v, top in zip(line, tops, strict=True)), False]
            for line, runs in zip(values, running, strict=True)
        ],
    )


def overview(found: Evaluation) -> Table:
    """Means over sets of all measures of what was retrieved, and costs."""
    metrics = [f"{name}@{b}" for name in ("recall", "precision") for b in found.budgets]
    return Table(
        title="Means over sets: recall, precision and MRR in %, and costs",
        heads=[
            *(f"{name}@{b}" for name in "RP" for b in found.budgets),
            *("MRR", "index s", "search ms", "bytes/token"),
        ],
        rows=found.rows,
        body=[
            [
                *(percent(row.mean(metric)) for metric in (*metrics, "mrr")),
                f"{row.cost.index_seconds:.1f}",
                f"{1000 * row.cost.search_seconds:.0f}",
                f"{row.cost.bytes_per_token:.0f}",
            ]
            for row in found.rows
        ],
    )


def by_type(found: Evaluation) -> Table | None:
    """Recall by type of question, over all sets together; None where there are no types."""
    if not found.kinds:
        return None
    counts = {kind: sum(int(m.sum()) for m in masks) for kind, masks in found.kinds.items()}
    return Table(
        title=f"{describe(found.metric).capitalize()}, by type of question",
        heads=[f"{kind} ({count})" for kind, count in counts.items()],
        rows=found.rows,
        body=[[percent(v) for v in found.kind_means(row).values()] for row in found.rows],
    )


def answers(found: Evaluation) -> Table | None:
    """Measures of answers; None where none were asked for."""
    if not any(metric in run.values for run in found.runs for metric in READER_METRICS):
        return None
    formats: dict[str, Callable[[float], str]] = {"nll": nats, "kl": nats}
    return Table(
        title="Answers of the same reader, means over sets: %, and nats (lower is better)",
        heads=list(READER_METRICS.values()),
        rows=found.rows,
        body=[
            [formats.get(metric, percent)(row.mean(metric)) for metric in READER_METRICS]
            for row in found.rows
        ],
    )


def every_variant(found: Evaluation) -> Table:
    """Every variant of every ranker, not only the best."""
    rows = [row for contender in found.contenders for row in found.variants(contender)]
    return Table(
        title=f"Every variant: {describe(found.metric)}",
        heads=[*_names(found), "mean"],
        rows=rows,
        body=[
            [*map(percent, row.means(found.metric)), percent(row.mean(found.metric))]
            for row in rows
        ],
    )


def describe(metric: str) -> str:
    """A metric in words, such as ``"evidence recall at 2000 characters, %"``."""
    name, _, budget = metric.partition("@")
    return f"evidence {name} at {budget} characters, %"


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


def _names(found: Evaluation) -> list[str]:
    return [labelled.name for labelled in found.sets]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()
