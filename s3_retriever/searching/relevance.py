"""How likely a span is to hold evidence for a question, on a scale that questions share.

Scores compare sentences of one text; what is measured here is the question and the span alone, and
of the rest of the text only how common its words are. So exact and fast searches, filters and a
text of a single sentence make no difference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import normalize

from s3_retriever.searching.attention import logits_at
from s3_retriever.searching.group import added
from s3_retriever.text.languages import LANGUAGES
from s3_retriever.text.words import asked_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.searching.peaks import Peak
    from s3_retriever.searching.scorer import Asked, IndexedText

_BLOCK_NUMBERS = 2**24


def relevances(text: IndexedText, asked: Asked, peaks: Sequence[Peak]) -> np.ndarray | None:
    """Probabilities that spans hold evidence, ``f64[S]``; None where the bank has no head for it.

    Args:
        text: The documents.
        asked: The question without the words that name a document.
        peaks: S spans, disjoint.
    """
    head = text.bank.relevance
    return None if head is None else head.probabilities(features(text, asked, peaks))


def features(text: IndexedText, asked: Asked, peaks: Sequence[Peak]) -> np.ndarray:
    """What a question and spans have in common, ``f64[S, F]`` as `FEATURES` names them.

    Of ``"words"``, the share of the question's words that stand in the span, rare ones counting
    more. Of ``"attention"``, how much of the greatest logits that the question's tokens could have
    (with a key of length 1) their best tokens of the span give them. Of ``"meaning"``, the cosine
    of the question and the span's best sentence, and of ``"whole"`` that of the whole span; both 0
    where the bank has no sentence head. All are 0 where there is nothing to compare.

    Args:
        text: The documents.
        asked: As for `relevances`.
        peaks: Likewise.
    """
    columns = [_words(text, asked, peaks), _attention(text, asked, peaks)]
    columns += _meaning(text, asked, peaks)
    return np.stack(columns, axis=1)


def _words(text: IndexedText, asked: Asked, peaks: Sequence[Peak]) -> np.ndarray:
    postings = text.word_postings
    languages = postings.languages[[peak.top for peak in peaks]]
    firsts, lasts = (np.array([getattr(p, n) for p in peaks]) for n in ("first", "last"))
    shares = np.zeros(len(peaks))
    names = {LANGUAGES[language] for language in np.unique(languages)}
    rarities = _rarities(text, asked, text.group.merged(names, _union))
    for language in np.unique(languages):
        rarity = rarities[LANGUAGES[language]]
        own = np.flatnonzero(languages == language)
        held = [postings.within(word, firsts[own], lasts[own]) for word in rarity]
        total = sum(rarity.values())
        if total > 0:
            shares[own] = np.array([*rarity.values()]) @ np.stack(held) / total
    return shares


def _union(values: Sequence[set[str]]) -> list[str]:
    return sorted(set().union(*values))


def _rarities(
    text: IndexedText, asked: Asked, languages: Sequence[str]
) -> dict[str, dict[str, float]]:
    """For each language, how rare each word of a question is that asks of what is in it."""
    wanted = {it: list(dict.fromkeys(asked_words(asked.text, [it]))) for it in languages}
    every = [word for own in wanted.values() for word in own]
    frequencies = iter(text.group.merged(text.word_postings.frequencies(every), added).tolist())
    count = text.all_sentences
    return {
        language: {word: math.log((count + 1) / (next(frequencies) + 0.5)) for word in own}
        for language, own in wanted.items()
    }


def _attention(text: IndexedText, asked: Asked, peaks: Sequence[Peak]) -> np.ndarray:
    """``Σ_i w_i · m_i / Σ_i w_i²`` over question tokens i, both means over heads by their weights.

    m_i is the greatest logit inside the span, and w_i the length of the token's calibrated query,
    so that tokens which ask for nothing in particular count little.
    """
    calibration, bounds = text.bank.calibration, text.passages.bounds
    order = np.argsort([peak.first for peak in peaks])
    starts = np.array([bounds[peaks[n].first] for n in order], dtype=np.int64)
    stops = np.array([bounds[peaks[n].last] for n in order], dtype=np.int64)
    owning = stops > starts
    found = np.zeros(len(peaks))
    if not owning.any():
        return found
    keys = text.bank.decode(text.codes.ranges(starts, stops)) - text.bank.offset
    sizes = (stops - starts)[owning]
    y, shares = calibration.queries(asked.queries), calibration.head_shares
    lengths, begins = y.norm(dim=2) @ shares, np.cumsum(sizes) - sizes
    most = max(_BLOCK_NUMBERS // (len(keys) * len(shares)), 1)
    total = torch.zeros(len(sizes))
    for first in range(0, len(y), most):
        logits = logits_at(keys, y[first : first + most], calibration.tap_of_head)
        best = torch.from_numpy(np.maximum.reduceat(logits.numpy(), begins))
        best = torch.einsum("shn,h->sn", best.view(len(sizes), len(shares), -1), shares)
        total += best @ lengths[first : first + most]
    found[order[owning]] = (total / lengths.square().sum().clamp_min(1e-12)).numpy()
    return found


def _meaning(text: IndexedText, asked: Asked, peaks: Sequence[Peak]) -> list[np.ndarray]:
    head = text.bank.sentences
    if head is None or not peaks:
        return [np.zeros(len(peaks))] * 2
    vector = head.question(text.bank.calibration.queries(asked.queries))
    rows = [text.sums_of(np.arange(peak.first, peak.last)) for peak in peaks]
    best = [float((normalize(own, dim=1) @ vector).max()) for own in rows]
    whole = [float(normalize(own.sum(0), dim=0) @ vector) for own in rows]
    return [np.array(best), np.array(whole)]
