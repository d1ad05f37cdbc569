"""Fits what tells how likely a span holds evidence, on questions with and without an answer.

Each labelled question is asked twice: of its documents as they are, and of the same without the
sentences that hold its evidence. A span of the second search holds none, whatever it looks like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from s3_retriever.codec import JoinedCodes
from s3_retriever.codec.relevance import FEATURES, RelevanceHead
from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.errors import InputError
from s3_retriever.fitting.removed import holding, without
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.scan import scan
from s3_retriever.searching.passages import cut_passages
from s3_retriever.searching.peaks import pick
from s3_retriever.searching.relevance import features
from s3_retriever.searching.scorer import Asked, IndexedText
from s3_retriever.searching.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.labelled import LabelledQuestion, LabelledSet
    from s3_retriever.reading.questions import Question

_SEARCH = SearchConfig()
_RIDGE = 5.0
_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """The spans of one search.

    Attributes:
        kind: Name of the set.
        answered: Whether the evidence was there to be found.
        features: ``f64[S, F]``, best span first; see `s3_retriever.searching.relevance.features`.
        hits: ``bool[S]``, whether each holds some of the evidence.
    """

    kind: str
    answered: bool
    features: np.ndarray
    hits: np.ndarray


def fit_relevance(
    backbone: Backbone, bank: Bank, sets: Sequence[LabelledSet], *, progress: bool = False
) -> RelevanceHead:
    """Fit a relevance head for a bank.

    Args:
        backbone: The bank's model.
        bank: With all else that it will have; a relevance head of its own is not read.
        sets: Each searched on its own; questions without evidence are left out.
        progress: Show a bar on standard error.

    Raises:
        InputError: no question whose evidence was found, or none whose evidence was missed.
    """
    found: list[Example] = []
    for labelled in tqdm(sets, desc="Judging spans", unit="set", disable=not progress):
        found += examples(backbone, bank, labelled)
    return fit_head(found)


def examples(
    backbone: Backbone, bank: Bank, labelled: LabelledSet, scan_config: ScanConfig | None = None
) -> Iterator[Example]:
    """Ask the questions of a set, each of the whole and of what is left without its evidence.

    The second hop is left out. Two examples come for each question, the whole first.
    """
    config = scan_config or ScanConfig()
    documents, codes = zip(*scan(backbone, bank, labelled.documents, config), strict=True)
    passages = cut_passages(documents, [own.ends for own in codes])
    text = IndexedText(documents, passages, JoinedCodes(codes), bank)
    questions = [question for question in labelled.questions if question.evidence]
    read = read_questions(backbone, bank, [question.question for question in questions], config)
    for question, own in zip(questions, read, strict=True):
        yield _example(labelled.name, text, own, question)
        left = without(text, holding(text, question.evidence))
        if left is not None:
            yield _example(labelled.name, left, own, None)


def _example(
    kind: str, text: IndexedText, read: Question, question: LabelledQuestion | None
) -> Example:
    """Search for a question; None where its evidence is gone."""
    searcher = Searcher(text)
    what = Asked(read.what.text, read.what.queries)
    asked = Asked(read.whole.text, read.whole.queries)
    if searcher.tells_places(_SEARCH):
        place = None if read.where is None else Asked(read.where.text, read.where.queries)
        asked = Asked(read.what.text, read.what.queries, place=place)
    (scores,) = searcher.score([asked], _SEARCH)
    total = scores.over(len(text.passages), -np.inf).numpy()
    peaks = pick(total, text.passages, _SEARCH.k, _SEARCH.weighing.span_characters, text.density)
    held = np.zeros(len(text.passages), dtype=bool)
    if question is not None:
        held = holding(text, question.evidence)
    hits = np.array([held[peak.first : peak.last].any() for peak in peaks])
    return Example(kind, question is not None, features(text, what, peaks), hits)


def fit_head(found: Iterable[Example]) -> RelevanceHead:
    """Fit a head to the spans of searches: a ridge regression, weights at least 0.

    Raises:
        InputError: as for `fit_relevance`.
    """
    found = list(found)
    rows = np.concatenate([example.features for example in found] or [np.zeros((0, 1))])
    hits = np.concatenate([example.hits for example in found] or [np.zeros(0, dtype=bool)])
    if not hits.any() or hits.all():
        raise InputError(
            "relevance needs questions whose evidence was found, and spans that hold none; "
            "give sets of more questions"
        )
    mean, spread = rows.mean(0), rows.std(0)
    free = spread > 1e-9
    scaled = (rows - mean) / np.where(free, spread, 1)
    weights = np.zeros(rows.shape[1])
    while True:  # what would count against a span is left out
        bias, weights[free] = _logistic(scaled[:, free], hits.astype(float))
        if (weights >= 0).all():
            break
        free &= weights > 0
        weights[:] = 0
    weights = weights / np.where(spread > 1e-9, spread, 1)
    counts = {"searches": len(found), "spans": len(rows), "hits": int(hits.sum())}
    return RelevanceHead(
        bias=float(bias - weights @ mean),
        weights=dict(zip(FEATURES, weights.tolist(), strict=True)),
        metadata=counts | {"sets": list(dict.fromkeys(example.kind for example in found))},
    )


def _logistic(rows: np.ndarray, hits: np.ndarray) -> tuple[float, np.ndarray]:
    """Bias and weights of a logistic regression with a ridge, by Newton's method."""
    x = np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
    ridge = np.diag([1e-6] + [_RIDGE] * rows.shape[1])
    found = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ found))
        slope = x.T @ (p - hits) + ridge @ found
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge, slope)
        found -= step
        if np.abs(step).max() < 1e-9:
            break
    return float(found[0]), found[1:]
