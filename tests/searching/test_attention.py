"""Scores of sentences against dense computations that follow the definitions word by word."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from passage_samples import joined, lexical_text, some_passages
from random_bank import HEADS, K, make_bank
from s3_retriever.codec import Bank, Codes, fit_residual
from s3_retriever.config import Weighing
from s3_retriever.searching.attention import AttentionScorer, coded_logits, softmax_peaks
from s3_retriever.searching.bm25 import WordPostings
from s3_retriever.searching.coactivation import CoactivationScorer
from s3_retriever.searching.fusion import Scores, fuse, standardise
from s3_retriever.searching.lexical import LexicalScorer
from s3_retriever.searching.passages import blocks
from s3_retriever.searching.scorer import NOTHING, Asked, IndexedText
from s3_retriever.text.words import words

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.searching.passages import Passages

SIZES = [[120, 60, 400, 90, 30], [80], [310, 40, 150, 150]]
WEIGHTS = torch.tensor([0.5, 0.2, 1.3])
WEIGHING = Weighing()


@pytest.fixture(scope="module")
def passages() -> Passages:
    """Ten sentences, the third and the last of which own no token."""
    whole = some_passages(SIZES)
    counts = np.diff(whole.bounds)
    counts[[2, -1]] = 0
    return replace(whole, bounds=np.concatenate([[0], np.cumsum(counts)]))


@pytest.fixture(scope="module", params=["codes alone", "with residual"])
def bank(request: pytest.FixtureRequest, tiny_backbone: Backbone) -> Bank:
    plain = make_bank(tiny_backbone)
    calibration = plain.calibration.replace(
        head_weights=WEIGHTS, query_mean=normal(len(HEADS), 16, seed=7)
    )
    residual = fit_residual(normal(500, 48, seed=8)) if request.param == "with residual" else None
    return replace(plain, calibration=calibration, residual=residual)


@pytest.fixture(scope="module")
def codes(bank: Bank, passages: Passages) -> Codes:
    keys = normal(int(passages.bounds[-1]), 3, 16, seed=1)
    return bank.encode(keys, torch.float32)


@pytest.fixture(scope="module")
def queries() -> Tensor:
    return 3 * normal(5, len(HEADS), 16, seed=2)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scored(
    kind: Any, questions: Any, bank: Bank, codes: Codes, passages: Passages, skips: Any
) -> Tensor:
    text = IndexedText((), passages, joined(codes, 7, 7, 20), bank)
    asked = [Asked("", *both) for both in zip(questions, skips, strict=True)]
    return kind(text).scores(asked, np.arange(len(passages)), WEIGHING)


def attention(*args: Any) -> Tensor:
    return scored(AttentionScorer, *args)


def coactivated(*args: Any) -> Tensor:
    return scored(CoactivationScorer, *args)


def lexical(sentences: list[str], passages: Passages, question: str) -> Tensor:
    """BM25 where each sentence of the passages has a text of its own."""
    postings = WordPostings.of(map(words, sentences))
    text = lexical_text(passages, postings)
    asked = [Asked(question, torch.empty(0))]
    return LexicalScorer(text).scores(asked, np.arange(len(passages)), WEIGHING)[0]


def owned(passages: Passages) -> list[slice]:
    return [slice(*pair) for pair in zip(passages.bounds, passages.bounds[1:], strict=False)]


def dense_attention(queries: Tensor, bank: Bank, codes: Codes, passages: Passages) -> Tensor:
    """Softmax over the whole text, best of each sentence, sum, standardise, weigh."""
    calibration = bank.calibration
    x, total = bank.decode(codes).double(), torch.zeros(len(passages), dtype=torch.double)
    for h, weight in enumerate(WEIGHTS / WEIGHTS.sum()):
        centred = (queries[:, h] - calibration.query_mean[h]).double()  # the whitening is 1
        logits = calibration.scaling * centred @ x[:, calibration.tap_of_head[h]].T
        shares = torch.softmax(logits, dim=1)
        best = torch.zeros(len(passages), len(queries), dtype=torch.double)
        for a, tokens in enumerate(owned(passages)):
            if tokens.stop > tokens.start:
                best[a] = shares[:, tokens].amax(1)
        score = passages.smooth(best, WEIGHING.reach, WEIGHING.power).sum(1)
        total += weight * (score - score.mean()) / score.std(correction=0)
    return total.float()


@pytest.mark.parametrize("block", [1, 7, 30, 4096])
def test_blocks_make_no_difference(
    block: int,
    queries: Tensor,
    bank: Bank,
    codes: Codes,
    passages: Passages,
) -> None:
    x, reads = bank.decode(codes), bank.calibration.tap_of_head
    y = bank.calibration.queries(queries)

    def logits(tokens: slice) -> Tensor:
        return torch.cat([x[tokens, tap] @ y[:, h].T for h, tap in enumerate(reads)], 1)

    rows = len(reads) * len(queries)
    peaks = softmax_peaks(logits, rows, passages.bounds, block)
    expected = softmax_peaks(logits, rows, passages.bounds, 1 << 20)
    torch.testing.assert_close(peaks, expected, rtol=1e-4, atol=1e-6)


def test_attention_is_the_dense_computation_for_questions_together(
    queries: Tensor, bank: Bank, codes: Codes, passages: Passages
) -> None:
    questions = [queries, queries[:1], queries.flip(0)[1:4]]
    result = attention(questions, bank, codes, passages, 3 * [NOTHING])
    expected = torch.stack([dense_attention(asked, bank, codes, passages) for asked in questions])
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("most", [1, 7, 12])
def test_long_questions_are_asked_in_parts(
    most: int, queries: Tensor, bank: Bank, codes: Codes, passages: Passages, monkeypatch: Any
) -> None:
    home = passages.of_document(1)
    questions, skips = (
        [queries, queries.flip(0).repeat(5, 1, 1), queries[:1]],
        [home, NOTHING, home],
    )
    expected = attention(questions, bank, codes, passages, skips)
    text = IndexedText((), passages, joined(codes, 7, 7, 20), bank)
    held: list[int] = []

    def logits(some: Tensor) -> Any:
        held.append(some.shape[0])
        return coded_logits(text)(some)

    numbers = most * len(HEADS) * 4096
    monkeypatch.setattr("s3_retriever.searching.attention._BLOCK_NUMBERS", numbers)
    asked = [Asked("", *both) for both in zip(questions, skips, strict=True)]
    found = AttentionScorer(text, logits).scores(asked, np.arange(len(passages)), WEIGHING)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert max(held) <= most and sum(held) == sum(map(len, questions))


def test_many_queries_meet_the_keys_themselves(
    queries: Tensor, bank: Bank, codes: Codes, passages: Passages
) -> None:
    text, many = IndexedText((), passages, joined(codes), bank), queries.repeat(4, 1, 1)
    assert many.shape[0] * many.shape[1] > 3 * 16 >= queries.shape[0] * queries.shape[1]
    tokens = slice(3, 40)
    few = coded_logits(text)(queries)(tokens).view(37, len(HEADS), 1, 5).expand(-1, -1, 4, -1)
    found = coded_logits(text)(many)(tokens)
    torch.testing.assert_close(found, few.flatten(1), rtol=1e-4, atol=1e-3)


def test_ranges_of_codes_are_their_rows(codes: Codes) -> None:
    whole = joined(codes, 7, 7, 20)
    starts, stops = np.array([0, 3, 19, 25]), np.array([2, 9, 21, 25])
    found = whole.ranges(starts, stops)
    wanted = [token for a, b in zip(starts, stops, strict=True) for token in range(a, b)]
    for name in ("latents", "values", "residual"):
        assert torch.equal(getattr(found, name), getattr(codes, name)[wanted])
    assert len(whole.ranges(starts[:0], stops[:0]).latents) == 0


@pytest.mark.parametrize("score", [attention, coactivated])
def test_sentences_left_out_get_nothing(
    score: Any, queries: Tensor, bank: Bank, codes: Codes, passages: Passages
) -> None:
    home = passages.of_document(1)
    assert home == slice(5, 6)
    plain, result = score([queries, queries], bank, codes, passages, [NOTHING, home])
    assert result[home] == result.min()
    assert not torch.allclose(result, plain, atol=1e-3)
    torch.testing.assert_close(plain, score([queries], bank, codes, passages, [NOTHING])[0])


def test_attention_goes_to_what_is_not_left_out(
    queries: Tensor, bank: Bank, codes: Codes, passages: Passages
) -> None:
    first, *_, last = passages.of_document(0), passages.of_document(2)
    bounds = passages.bounds
    fewer = joined(codes).rows(slice(int(bounds[last.start]), int(bounds[last.stop])))
    alone = replace(
        passages,
        document=passages.document[last],
        start=passages.start[last],
        end=passages.end[last],
        bounds=bounds[last.start : last.stop + 1] - bounds[last.start],
        header=passages.header[last],
    )
    skips = [NOTHING, slice(first.start, last.start)]
    whole = attention([queries[:2], queries], bank, codes, passages, skips)[1, last]
    (expected,) = attention([queries], bank, fewer, alone, [NOTHING])
    gaps, wanted = whole - whole.mean(), expected - expected.mean()
    assert torch.corrcoef(torch.stack([gaps, wanted]))[0, 1] > 0.999


def test_attention_bears_extreme_logits(
    bank: Bank, codes: Codes, passages: Passages, queries: Tensor
) -> None:
    result = attention([1e4 * queries], bank, codes, passages, [NOTHING])
    assert result.isfinite().all() and result.std() > 0


def test_attention_finds_the_sentence_of_a_key_that_is_asked_for(tiny_backbone: Backbone) -> None:
    bank, passages = make_bank(tiny_backbone), some_passages([[300] * 12])
    keys = 0.1 * normal(int(passages.bounds[-1]), 3, 16, seed=3)
    wanted = normal(3, 16, seed=4)
    keys[passages.bounds[7] + 2] = 2 * wanted
    codes = bank.encode(keys, torch.float32)
    for score in (attention, coactivated):
        assert score([4 * wanted[None]], bank, codes, passages, [NOTHING]).argmax() == 7


def test_coactivation_is_equation_7(
    queries: Tensor, bank: Bank, codes: Codes, passages: Passages
) -> None:
    per_token = [0.0] * len(codes.values)
    for site, (active, strength) in enumerate(bank.encode_queries(queries)):
        asked: dict[int, float] = {}
        for f, w in zip(active.flatten().tolist(), strength.flatten().tolist(), strict=True):
            asked[f] = asked.get(f, 0.0) + w
        posts: dict[int, list[int]] = {f: [] for f in asked}
        for t in range(len(per_token)):
            for slot in range(site * K, site * K + K):
                if codes.values[t, slot] > 0 and int(codes.latents[t, slot]) in posts:
                    posts[int(codes.latents[t, slot])].append(t)
        for f, tokens in posts.items():
            for t in tokens:
                per_token[t] += asked[f] / (log(1 + len(tokens)) + 1)
    assert sum(per_token) > 0
    best = torch.tensor([max(per_token[tokens], default=0.0) for tokens in owned(passages)])
    expected = standardise(passages.smooth(best, WEIGHING.reach, WEIGHING.power))
    result = coactivated([queries, queries], bank, codes, passages, 2 * [NOTHING])
    torch.testing.assert_close(result, expected.expand(2, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 5, 64, 10_000])
def test_blocks_hold_whole_sentences(size: int) -> None:
    counts = np.random.default_rng(0).integers(0, 12, 200)
    counts[:3] = counts[-4:] = 0
    bounds = np.concatenate([[0], np.cumsum(counts)])
    ranges = list(blocks(bounds, size))
    read = [token for a, b in ranges for token in range(bounds[a], bounds[b])]
    assert read == list(range(bounds[-1]))
    for first, last in ranges:
        assert 0 < bounds[last] - bounds[first] <= max(size, counts[first:last].max())


def test_standardised_scores_have_mean_0_and_deviation_1() -> None:
    scores = standardise(3 + 7 * normal(50, 4, seed=5))
    torch.testing.assert_close(scores.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(scores.std(0, correction=0), torch.ones(4))
    assert (standardise(torch.full((5,), 2.0)) == 0).all()


def test_parts_are_weighed_and_added() -> None:
    s3, bm25 = normal(2, 6, seed=6)
    weighing = Weighing(bm25=0.25, hop=0.75)
    torch.testing.assert_close(fuse({"s3": s3, "bm25": bm25}, weighing), s3 + 0.25 * bm25)
    torch.testing.assert_close(fuse({"s3": s3, "hop": bm25}, weighing), s3 + 0.75 * bm25)
    torch.testing.assert_close(fuse({"s3": s3}, weighing), s3)


def test_a_part_may_bring_candidates_of_its_own() -> None:
    first = Scores(np.array([1, 4]), {"s3": torch.tensor([1.0, 2.0])}, Weighing(hop=0.5))
    both = first.plus("hop", torch.arange(6).float(), np.array([2, 4]))
    assert both.candidates.tolist() == [1, 2, 4] and both.place(4) == 2
    assert both.total.tolist() == [1.5, 1.0, 4.0]
    assert both.over(6, -1.0).tolist() == [-1.0, 1.5, 1.0, -1.0, 4.0, -1.0]


def test_words_are_stemmed_and_stop_words_left_out() -> None:
    assert words("The Keepers were CLIMBING the steps of Straße 9!") == [
        "keeper",
        "climb",
        "step",
        "straße",
        "9",
    ]


def test_bm25_finds_the_rare_word_and_its_neighbours() -> None:
    passages = some_passages([[100] * 6, [100] * 6])
    texts = ["ships saw the lamp of the tower"] * 12
    texts[3] = "the keeper climbed"
    scores = lexical(texts, passages, "Did a keeper climb?")
    assert scores.argmax() == 3
    assert scores[2] > scores[1] > scores[8] and scores[8] == scores[11]


def test_bm25_without_a_word_to_go_by() -> None:
    passages = some_passages([[100] * 3])
    assert (lexical(["a lamp", "a tower", "a ship"], passages, "Who was it?") == 0).all()
    assert (lexical(["a lamp", "a tower", "a ship"], passages, "zebra") == 0).all()
    assert (lexical(["", "!", "the"], passages, "lamp") == 0).all()
