"""Measures, against what the definitions say, character by character."""

from __future__ import annotations

import random
from math import isnan

import numpy as np
import pytest

from s3_retriever.evaluate.metrics import (
    answer_in,
    auroc,
    bootstrap,
    evidence_precision,
    evidence_recall,
    exact_match,
    mean,
    merge,
    reciprocal_rank,
    token_f1,
)
from s3_retriever.evaluate.rankers.hits import Hit, within
from s3_retriever.labelled.sets import Evidence


def hit(document, start, end):
    return Hit(document, start, end, 0.0)


def test_the_last_span_is_cut_short():
    hits = [hit("a", 0, 60), hit("b", 10, 100)]
    assert within(hits, 100) == (hit("a", 0, 60), hit("b", 10, 50))
    assert within(hits, 60) == (hit("a", 0, 60),)
    assert within(hits, 1000) == tuple(hits)
    assert within([], 10) == ()


def test_recall_counts_covered_characters_of_the_budget():
    evidence = [Evidence("a", 50, 150)]
    assert evidence_recall([hit("a", 0, 100)], evidence, 1000) == 0.5
    assert evidence_recall([hit("a", 0, 100)], evidence, 75) == 0.25
    assert evidence_recall([hit("b", 50, 150)], evidence, 1000) == 0
    assert evidence_recall([hit("b", 0, 50), hit("a", 50, 150)], evidence, 100) == 0.5
    assert evidence_recall([], evidence, 100) == 0


def test_what_is_returned_twice_is_spent_twice_and_found_once():
    evidence = [Evidence("a", 0, 100)]
    hits = [hit("a", 0, 50), hit("a", 0, 50), hit("a", 50, 100)]
    assert evidence_recall(hits, evidence, 100) == 0.5
    assert evidence_precision(hits, evidence, 100) == 0.5
    assert evidence_recall(hits, evidence, 150) == 1
    assert evidence_precision(hits, evidence, 150) == pytest.approx(2 / 3)


def test_evidence_that_overlaps_counts_once():
    evidence = [Evidence("a", 0, 60), Evidence("a", 40, 100), Evidence("a", 90, 100)]
    assert merge(evidence) == {"a": [(0, 100)]}
    assert evidence_recall([hit("a", 0, 50)], evidence, 1000) == 0.5


def test_without_evidence_there_is_no_value():
    for value in (
        evidence_recall([hit("a", 0, 9)], [], 100),
        evidence_precision([hit("a", 0, 9)], [], 100),
        reciprocal_rank([hit("a", 0, 9)], []),
    ):
        assert isnan(value)


@pytest.mark.parametrize("seed", range(20))
def test_recall_and_precision_agree_with_sets_of_characters(seed):
    chance = random.Random(seed)

    def places(count):
        for _ in range(count):
            start = chance.randrange(200)
            yield chance.choice("abc"), start, start + chance.randint(1, 80)

    hits = [hit(*place) for place in places(8)]
    evidence = [Evidence(*place) for place in places(4)]
    gold = {(e.document_id, at) for e in evidence for at in range(e.start, e.end)}
    for budget in (1, 50, 133, 10_000):
        read = [(h.document_id, at) for h in hits for at in range(h.start, h.end)][:budget]
        assert evidence_recall(hits, evidence, budget) == len(gold & set(read)) / len(gold)
        assert evidence_precision(hits, evidence, budget) == len(gold & set(read)) / len(read)


def test_the_reciprocal_rank_is_of_the_first_hit_with_evidence():
    evidence = [Evidence("a", 10, 20)]
    touching = [hit("a", 0, 10), hit("b", 0, 99), hit("a", 19, 30), hit("a", 10, 20)]
    assert reciprocal_rank(touching, evidence) == pytest.approx(1 / 3)
    assert reciprocal_rank(touching[:2], evidence) == 0


def test_answers_are_compared_as_squad_does():
    assert exact_match("The  Eiffel-Tower!", ["eiffeltower"]) == 1
    assert exact_match("a tower", ["the Tower.", "spire"]) == 1
    assert exact_match("towers", ["tower"]) == 0
    assert token_f1("It was the old tower", ["old tower"]) == pytest.approx(2 * 2 / (4 + 2))
    assert token_f1("tower", ["no", "the tower"]) == 1
    assert token_f1("", ["tower"]) == 0
    assert token_f1("the", ["a"]) == 1
    assert isnan(exact_match("x", [])) and isnan(token_f1("x", [])) and isnan(answer_in("x", []))


def test_an_answer_stands_in_a_context_as_whole_words():
    assert answer_in("Built in 1871, by A. Lindqvist.", ["1871"]) == 1
    assert answer_in("Built in 18710.", ["1871"]) == 0
    assert answer_in("A sour   starter", ["the sour starter"]) == 1


def test_the_mean_leaves_out_what_is_not_there():
    assert mean(np.array([1.0, np.nan, 0.0])) == 0.5
    assert isnan(mean(np.array([np.nan]))) and isnan(mean(np.array([])))


def test_the_bootstrap_is_paired():
    chance = np.random.default_rng(1)
    hard = chance.random(200)  # questions differ much, rankers differ by little
    low, high = bootstrap([hard + 0.05], [hard])
    assert low == pytest.approx(0.05) and high == pytest.approx(0.05)


def test_the_interval_holds_the_difference_and_shrinks_with_more_questions():
    chance = np.random.default_rng(2)
    one, other = chance.random(400) + 0.1, chance.random(400)
    wide = bootstrap([one[:40]], [other[:40]])
    narrow = bootstrap([one], [other])
    for (low, high), size in ((wide, 40), (narrow, 400)):
        assert low < (one[:size] - other[:size]).mean() < high
    assert narrow[1] - narrow[0] < 0.6 * (wide[1] - wide[0])
    assert bootstrap([one], [other], seed=3) == bootstrap([one], [other], seed=3)
    assert bootstrap([one], [other], seed=3) != bootstrap([one], [other], seed=4)


def test_the_interval_is_that_of_the_normal_distribution_for_many_questions():
    values = np.random.default_rng(4).normal(size=2000)
    low, high = bootstrap([values], [np.zeros(2000)], samples=4000)
    assert high - low == pytest.approx(2 * 1.96 / 2000**0.5, rel=0.05)


def test_every_set_counts_the_same_in_the_bootstrap():
    many, few = np.full(500, 1.0), np.zeros(5)
    low, high = bootstrap([many, few], [np.zeros(500), np.zeros(5)])
    assert low == high == 0.5


def test_the_bootstrap_leaves_out_what_has_no_value():
    gaps = np.array([1.0, np.nan, 1.0])
    assert bootstrap([gaps, np.array([np.nan])], [np.zeros(3), np.zeros(1)]) == (1, 1)
    assert all(map(isnan, bootstrap([np.array([np.nan])], [np.zeros(1)])))


def test_auroc_counts_pairs_and_halves_ties() -> None:
    scores, labels = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert auroc(scores, labels) == pytest.approx((4 - 0.5) / 4)
    assert auroc(-scores, labels) == pytest.approx(0.5 / 4)
    assert np.isnan(auroc(scores, np.ones(4, dtype=bool)))
