"""Measures of what was retrieved and of what was answered."""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.evaluate.rankers.hits import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s3_retriever.evaluate.rankers.hits import Hit
    from s3_retriever.labelled.sets import Evidence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Ranges = dict[str, list[tuple[int, int]]]
"""For each document id, disjoint ranges of characters in rising order."""


def evidence_recall(hits: Sequence[Hit], evidence: Sequence[Evidence], budget: int) -> float:
    """Share of the evidence characters covered by the first `budget` characters of the hits.

    Hits are taken in order until the budget is spent, the last one cut short. NaN where there is
    no evidence.
    """
    gold = merge(evidence)
    total = _length(gold)
    return _shared(gold, merge(within(hits, budget))) / total if total else float("nan")


def evidence_precision(hits: Sequence[Hit], evidence: Sequence[Evidence], budget: int) -> float:
    """Share of the first `budget` characters of the hits that is evidence.

    Characters returned twice count twice as spent and once as found. 0 where nothing was
    returned, NaN where there is no evidence.
    """
    gold, taken = merge(evidence), within(hits, budget)
    if not gold:
        return float("nan")
    spent = sum(hit.length for hit in taken)
    return _shared(gold, merge(taken)) / spent if spent else 0.0


def reciprocal_rank(hits: Sequence[Hit], evidence: Sequence[Evidence]) -> float:
    """One over the rank of the first hit that shares a character with the evidence, or 0.

    NaN where there is no evidence.
    """
    gold = merge(evidence)
    if not gold:
        return float("nan")
    for rank, hit in enumerate(hits, start=1):
        if _shared(gold, {hit.document_id: [(hit.start, hit.end)]}):
            return 1 / rank
    return 0.0


def merge(places: Iterable[Hit | Evidence]) -> Ranges:
    """Join places that overlap or touch, document by document."""
    ranges: Ranges = {}
    for place in sorted(places, key=lambda place: (place.document_id, place.start)):
        joined = ranges.setdefault(place.document_id, [])
        if joined and place.start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], place.end))
        else:
            joined.append((place.start, place.end))
    return ranges


def _length(ranges: Ranges) -> int:
    return sum(end - start for joined in ranges.values() for start, end in joined)


def _shared(one: Ranges, other: Ranges) -> int:
    return sum(
        max(0, min(end, stop) - max(start, begin))
        for id, joined in one.items()
        for start, end in joined
        for begin, stop in other.get(id, ())
    )


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space (SQuAD, arXiv 1606.05250)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1 where the normalised text is one of the normalised answers; NaN without answers."""
    if not answers:
        return float("nan")
    return float(normalise(text) in {normalise(answer) for answer in answers})


def token_f1(text: str, answers: Sequence[str]) -> float:
    """Best F1 of normalised words between the text and an answer; NaN without answers."""
    return max((_f1(text, answer) for answer in answers), default=float("nan"))


def _f1(text: str, answer: str) -> float:
    given, gold = normalise(text).split(), normalise(answer).split()
    if not given or not gold:
        return float(given == gold)
    shared = (Counter(given) & Counter(gold)).total()
    return 2 * shared / (len(given) + len(gold))


def answer_in(context: str, answers: Sequence[str]) -> float:
    """1 where an answer stands in the context, both normalised; NaN without answers."""
    if not answers:
        return float("nan")
    words = f" {normalise(context)} "
    return float(any(f" {normalise(answer)} " in words for answer in answers))


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """How often one of what is true scores higher than one of what is not; ties count half.

    Args:
        scores: ``f[n]``.
        labels: ``bool[n]``.

    Returns:
        The area under the receiver operating characteristic; NaN where all labels are the same.
    """
    labels = np.asarray(labels, dtype=bool)
    true, false = np.count_nonzero(labels), np.count_nonzero(~labels)
    if not true or not false:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[labels].sum() - true * (true + 1) / 2) / (true * false))


def mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN where all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def bootstrap(
    one: Sequence[np.ndarray],
    other: Sequence[np.ndarray],
    *,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of a difference of means over sets, by the paired bootstrap.

    In every sample the questions of each set are drawn with replacement, the same for both
    rankers; the statistic is the mean over sets of the mean difference (Koehn 2004).

    Args:
        one: ``f[Q]`` for each set; NaN where a question has no value.
        other: Likewise, of the same questions.
        samples: Resamplings.
        level: Of confidence.
        seed: Of the generator.

    Returns:
        Lower and upper bound of the mean of `one` less that of `other`; NaN where no set has a
        value.
    """
    differences = [a - b for a, b in zip(one, other, strict=True)]
    differences = [kept for d in differences if len(kept := d[~np.isnan(d)])]
    if not differences:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means = np.zeros(samples)
    for values in differences:
        drawn = random.integers(len(values), size=(samples, len(values)))
        means += values[drawn].mean(1) / len(differences)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
