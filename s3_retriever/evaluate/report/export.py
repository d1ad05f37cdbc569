"""An evaluation as JSON."""

from __future__ import annotations

import json
from math import isnan
from typing import TYPE_CHECKING, Any

from s3_retriever.evaluate.results import READER_METRICS, retrieval_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.evaluate.results import Cost, Evaluation, Row, Run

VERSION = 1
"""Of the JSON format."""


def as_json(found: Evaluation, command: Sequence[str] | None = None) -> dict[str, Any]:
    """An evaluation as plain data.

    Args:
        found: What was found.
        command: Its command line, to be kept with it.

    Returns:
        ``about``, ``command``, ``seed``, ``budgets``, ``sets``; ``rows``, one for each ranker at
        its best variant, with means, the difference to the best baseline and what it returned
        for every question up to the largest budget; ``variants``, the values of every question
        for every variant. NaN is null.
    """
    return {
        "format": VERSION,
        "about": dict(found.about),
        "command": None if command is None else list(command),
        "seed": found.seed,
        "budgets": list(found.budgets),
        "metric": found.metric,
        "sets": [
            {
                "name": labelled.name,
                "documents": len(labelled.documents),
                "characters": sum(len(document.text) for document in labelled.documents),
                "questions": [
                    {"id": question.id, "type": question.kind} for question in labelled.questions
                ],
            }
            for labelled in found.sets
        ],
        "baseline": None if found.baseline is None else found.baseline.name,
        "rows": [_row(found, row) for row in found.rows],
        "variants": [_run(run) for run in found.runs],
    }


def to_json(found: Evaluation, command: Sequence[str] | None = None) -> str:
    """`as_json` as text, strictly JSON: no NaN."""
    return json.dumps(as_json(found, command), ensure_ascii=False, allow_nan=False)


def _row(found: Evaluation, row: Row) -> dict[str, Any]:
    gap = found.difference(row)
    metrics = [*retrieval_metrics(found.budgets), *READER_METRICS]
    return {
        "ranker": row.name,
        "title": row.title,
        "role": row.role,
        "variant": row.variant,
        "means": {m: mean for m in metrics if (mean := number(row.mean(m))) is not None},
        "sets": {
            run.set: {m: mean for m in metrics if (mean := number(run.mean(m))) is not None}
            for run in row.runs
        },
        "types": {kind: number(value) for kind, value in found.kind_means(row).items()},
        "difference": None if gap is None else [gap.mean, gap.low, gap.high],
        "cost": _cost(row.cost),
        "hits": {run.set: [[list(hit) for hit in hits] for hits in run.hits] for run in row.runs},
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "ranker": run.ranker,
        "variant": run.variant,
        "set": run.set,
        "values": {
            metric: [number(value) for value in values.tolist()]
            for metric, values in run.values.items()
        },
        "cost": _cost(run.cost),
    }


def _cost(cost: Cost) -> dict[str, float]:
    return {
        "index_seconds": round(cost.index_seconds, 4),
        "search_seconds": round(cost.search_seconds, 6),
        "bytes_per_token": round(cost.bytes_per_token, 2),
    }


def number(value: float) -> float | None:
    """A value that JSON can hold, with six digits after the point: None for NaN."""
    return None if isnan(value) else round(value, 6)
