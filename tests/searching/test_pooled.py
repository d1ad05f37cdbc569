"""Spans as sparse vectors, and attention over what they name."""

from __future__ import annotations

from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from random_bank import make_bank
from s3_retriever.config import ScanConfig, Weighing
from s3_retriever.documents import Document
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.reading.scan import scan
from s3_retriever.searching.attention import AttentionScorer
from s3_retriever.searching.candidate_attention import CandidateAttention
from s3_retriever.searching.pooled import PooledSpans, Pooling, asked_vector, pooled_vectors
from s3_retriever.searching.scorer import Asked

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.searching.scorer import IndexedText

NAMES = ("assert", "break", "lambda")


@pytest.fixture(scope="module")
def text(tiny_backbone: Backbone) -> IndexedText:
    documents = [Document(name, topics[name][:3000]) for name in NAMES]
    bank = make_bank(tiny_backbone)
    codes = {own.id: rows for own, rows in scan(tiny_backbone, bank, documents, ScanConfig())}
    return indexed_text(documents, [codes[name] for name in NAMES], bank)


@pytest.fixture(scope="module")
def queries() -> torch.Tensor:
    return torch.randn(7, 3, 16, generator=torch.Generator().manual_seed(0))


def test_spans_tile_the_text_in_whole_sentences_of_one_document(text: IndexedText) -> None:
    passages, spans = text.passages, PooledSpans.of(text.passages, 400)
    assert spans.first[0] == 0 and spans.last[-1] == len(passages)
    assert spans.first[1:].tolist() == spans.last[:-1].tolist()
    for first, last in zip(spans.first, spans.last, strict=True):
        assert passages.document[first] == passages.document[last - 1]
        long = passages.end[last - 1] - passages.start[first]
        assert long <= 400 or last == first + 1
        if last < len(passages) and passages.document[last] == passages.document[first]:
            assert passages.end[last] - passages.start[first] > 400


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_a_latent_has_the_greatest_activation_of_a_span_or_their_sum(
    pooling: Pooling, text: IndexedText
) -> None:
    bank, bounds = text.bank, text.passages.bounds
    spans = PooledSpans.of(text.passages)
    codes = text.codes.rows(slice(None))
    counts: dict[int, int] = {}
    rows: list[dict[int, float]] = []
    for first, last in zip(bounds[spans.first], bounds[spans.last], strict=True):
        rows.append({})
        for token in range(first, last):
            for j, sae in enumerate(bank.saes):
                both = (a[token, bank.slots(j)] for a in (codes.latents, codes.values))
                for latent, value in zip(*(it.tolist() for it in both), strict=True):
                    if value:
                        key, own = j * sae.n_latents + latent, sae.scale * value**2
                        counts[key] = counts.get(key, 0) + 1
                        before = rows[-1].get(key, 0.0)
                        rows[-1][key] = max(before, own) if pooling == "max" else before + own
    found = [*pooled_vectors(text, spans, pooling, kept=10**6)]
    assert len(found) == len(spans)
    for (latents, weights), row in zip(found, rows, strict=True):
        expected = {key: own / (np.log1p(counts[key]) + 1) for key, own in row.items()}
        pairs = dict(zip(latents.tolist(), weights.tolist(), strict=True))
        assert pairs == pytest.approx(expected, rel=1e-4)
    few = [*pooled_vectors(text, spans, pooling, kept=5)]
    for (latents, weights), (some, kept) in zip(found, few, strict=True):
        assert sorted(kept) == pytest.approx(sorted(weights)[-5:])
        assert {*some.tolist()} <= {*latents.tolist()}


def test_a_question_has_what_it_attends_to_latents_by(
    text: IndexedText, queries: torch.Tensor
) -> None:
    bank = text.bank
    y = bank.calibration.queries(queries)
    expected = []
    for j, sae in enumerate(bank.saes):
        (tap,) = bank.sites[j]
        heads = [h for h, own in enumerate(bank.calibration.tap_of_head) if own == tap]
        logits = sum(bank.calibration.head_shares[h] * (sae.w_dec @ y[:, h].T) for h in heads)
        expected.append(logits.clamp_min(0).sum(1))
    whole = torch.cat(expected)
    latents, weights = asked_vector(bank, queries, kept=20)
    best = torch.topk(whole, 20).indices.sort().values
    assert latents.tolist() == best.tolist()
    np.testing.assert_allclose(weights, whole[best], rtol=1e-4)


def test_where_all_are_candidates_it_is_the_attention_over_the_text(
    text: IndexedText, queries: torch.Tensor
) -> None:
    home = text.passages.of_document(1)
    asked = [Asked("", queries), Asked("", queries[:3], without=home)]
    everything = np.arange(len(text.passages))
    expected = AttentionScorer(text).scores(asked, everything, Weighing())
    found = CandidateAttention(text).scores(asked, everything, Weighing())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_candidates_that_are_left_out_get_nothing(text: IndexedText, queries: torch.Tensor) -> None:
    home = text.passages.of_document(0)
    own = np.arange(home.start, home.stop)
    found = CandidateAttention(text).scores([Asked("", queries, home)], own, Weighing())
    assert (found == 0).all() and found.shape == (1, len(own))
