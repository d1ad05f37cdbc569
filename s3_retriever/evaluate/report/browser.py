"""The data behind the page's browser of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.evaluate.report.export import number
from s3_retriever.evaluate.report.plots import css_class
from s3_retriever.evaluate.report.table import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.evaluate.results import Evaluation, Row
    from s3_retriever.searching.heat import Heat

LEVELS = 10
"""Steps of heat, 0 to 9."""

_LONGEST = 35


def browser_data(found: Evaluation, questions: int) -> dict[str, Any]:
    """What the page's script reads.

    Args:
        found: What was found.
        questions: At most so many of each set.

    Returns:
        Plain data. A hit is ``[document, start, end]``, with `heat_string` as a fourth entry where
        its heat was kept; documents are numbered within their set.
    """
    return {
        "budgets": list(found.budgets),
        "rankers": [
            {
                "name": named(row),
                "role": row.role,
                "tone": css_class(found, row),
                "base": row is found.baseline,
            }
            for row in found.rows
        ],
        "sets": [_set(found, place, questions) for place in range(len(found.sets))],
    }


def _set(found: Evaluation, place: int, most: int) -> dict[str, Any]:
    labelled = found.sets[place]
    asked = labelled.questions[:most]
    shown = {evidence.document_id for question in asked for evidence in question.evidence}
    for row in found.rows:
        shown |= {hit.document_id for hits in row.runs[place].hits[:most] for hit in hits}
    documents = [document for document in labelled.documents if document.id in shown]
    numbers = {document.id: number for number, document in enumerate(documents)}
    return {
        "name": labelled.name,
        "total": len(labelled.questions),
        "documents": [[document.id, document.text] for document in documents],
        "questions": [
            {
                "id": question.id,
                "text": question.question,
                "type": question.kind,
                "answers": list(question.answers),
                "evidence": [
                    [numbers[evidence.document_id], evidence.start, evidence.end]
                    for evidence in question.evidence
                ],
                "found": [_found(row, place, place_in_set, numbers) for row in found.rows],
            }
            for place_in_set, question in enumerate(asked)
        ],
    }


def _found(row: Row, place: int, question: int, numbers: dict[str, int]) -> dict[str, Any]:
    run = row.runs[place]
    heat = run.heat.get(question, ())
    hottest = max((float(one.mass.max()) for one in heat if len(one.mass)), default=0.0)
    strings = [heat_string(one, hottest) for one in heat]
    hits = [
        [numbers.get(hit.document_id, -1), hit.start, hit.end, *strings[at : at + 1]]
        for at, hit in enumerate(run.hits[question])
    ]
    entry: dict[str, Any] = {
        "hits": hits,
        "recall": {
            metric.rpartition("@")[2]: number(float(values[question]))
            for metric, values in run.values.items()
            if metric.startswith("recall@")
        },
    }
    return {**entry, "answer": run.answers[question]} if run.answers else entry


def heat_string(heat: Heat, hottest: float) -> str:
    """Write the heat of a hit as pairs of a level and a length in characters.

    A level is one digit: the square root of the token's mass as a share of the `hottest` token's,
    in tenths, rounded down. A length is one digit to the base 36, from 1 to 35.
    """
    if not len(heat.ends) or hottest <= 0:
        return ""
    levels = np.minimum(np.sqrt(heat.mass / hottest) * LEVELS, LEVELS - 1)
    lengths = np.diff(heat.ends, prepend=0)
    runs: list[list[int]] = []
    for level, length in zip(levels.astype(int).tolist(), lengths.tolist(), strict=True):
        if runs and runs[-1][0] == level:
            runs[-1][1] += length
        elif length > 0:
            runs.append([level, length])
    return "".join(_pairs(runs))


def _pairs(runs: Sequence[Sequence[int]]) -> list[str]:
    pairs = []
    for level, length in runs:
        while length > 0:
            piece = min(length, _LONGEST)
            pairs.append(f"{level}{np.base_repr(piece, 36).lower()}")
            length -= piece
    return pairs
