"""A whole evaluation: values, rows, intervals, answers, tables and JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from math import isnan, log

import numpy as np
import pytest
import torch

from evaluate_samples import SET, HashedWords, oracle
from random_bank import make_bank
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.answering.prompt import build_prompt
from s3_retriever.config import AnswerConfig
from s3_retriever.errors import InputError
from s3_retriever.evaluate import (
    as_json,
    embedding,
    evaluate,
    every_variant,
    evidence_recall,
    tables,
    to_json,
)
from s3_retriever.evaluate.answers import FIRST_TOKENS, SHORT, Reader, divergence
from s3_retriever.evaluate.metrics import exact_match, token_f1
from s3_retriever.evaluate.rankers.hits import Hit
from s3_retriever.evaluate.results import READER_METRICS
from s3_retriever.fitting import LabelledQuestion

OURS = ("attention+bm25", "attention", "coactivation", "paper", "codes", "dense", "dense-4bit")
BUDGETS = (60, 150, 400)


@pytest.fixture(scope="module")
def found(tiny_backbone):
    """All rankers on two sets, the second with fewer questions."""
    second = replace(SET, name="second", questions=SET.questions[:2])
    return evaluate(
        [SET, second],
        [*OURS, "bm25", *embedding(HashedWords())],
        budgets=BUDGETS,
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        heat=2,
        progress=False,
    )


@pytest.fixture(scope="module")
def judged(tiny_backbone):
    """Two rankers whose hits are known, with answers by the tiny model."""
    contenders = [oracle("right", role="ours"), oracle("wrong", wrong=True)]
    return evaluate(
        [SET], contenders, budgets=(2000,), model=tiny_backbone, answers=True, progress=False
    )


def test_every_question_has_the_values_of_its_hits(found):
    assert len(found.runs) == 2 * (len(OURS) + 3 * 6)
    for run in found.runs:
        questions = next(s for s in found.sets if s.name == run.set).questions
        assert len(run.hits) == len(questions)
        for budget in BUDGETS:
            values = run.values[f"recall@{budget}"]
            for value, hits, question in zip(values, run.hits, questions, strict=True):
                wanted = evidence_recall(hits, question.evidence, budget)
                assert value == wanted or (isnan(value) and isnan(wanted))
        assert all(sum(hit.length for hit in hits) <= 400 for hits in run.hits)
        recall, precision = run.values["recall@150"], run.values["precision@150"]
        assert np.array_equal(recall > 0, precision > 0)
        assert ((run.values["mrr"] > 0) >= (run.values["recall@400"] > 0)).all()


def test_what_was_found_cannot_be_changed(found):
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.runs[0].ranker = "other"


def test_a_row_is_the_best_variant_on_the_mean(found):
    assert found.metric == "recall@400"
    assert [row.name for row in found.rows] == [c.name for c in found.contenders]
    for contender, row in zip(found.contenders, found.rows, strict=True):
        means = {other.variant: other.mean(found.metric) for other in found.variants(contender)}
        assert row.mean(found.metric) == max(means.values()) == means[row.variant]
        assert [run.set for run in row.runs] == ["small", "second"]
    baselines = [row for row in found.rows if row.role == "baseline"]
    assert found.baseline.mean(found.metric) == max(r.mean(found.metric) for r in baselines)


def test_sets_count_the_same_in_a_mean(found):
    row = found.rows[0]
    small, second = (run.values["recall@400"] for run in row.runs)
    assert row.mean("recall@400") == pytest.approx((np.nanmean(small) + second.mean()) / 2)
    assert row.means("recall@400") == [np.nanmean(small), second.mean()]
    assert isnan(row.mean("em"))


def test_costs_are_those_of_each_alone(found):
    rows = {row.name: row for row in found.rows}
    assert all(run.cost.index_seconds > 0 < run.cost.search_seconds for run in found.runs)
    for contender in found.contenders:  # each pays for the vectors that they share
        for row in found.variants(contender) if "embedding" in contender.name else ():
            assert row.cost.index_seconds > HashedWords.seconds / 2
    sizes = {name: row.cost.bytes_per_token for name, row in rows.items()}
    assert sizes["bm25"] == 0 < sizes["embedding"]
    assert sizes["dense"] == pytest.approx(4 * sizes["dense-4bit"], rel=0.01)
    assert sizes["attention"] == sizes["codes"] == 3 * 4 * 3 + 8


def test_heat_is_kept_where_it_was_asked_for(found):
    for run in found.runs:
        assert set(run.heat) == ({0, 1} if run.ranker in OURS[:2] else set())
        for number, heat in run.heat.items():
            hits = run.hits[number]
            assert [int(h.ends[-1]) for h in heat] == [hit.length for hit in hits]
            assert all((h.mass >= 0).all() for h in heat)


def test_differences_are_to_the_best_baseline(judged):
    right, wrong = judged.rows
    assert judged.baseline is wrong
    gap = judged.difference(right)
    assert (gap.mean, gap.low, gap.high) == (1, 1, 1)
    assert judged.difference(wrong) is None
    assert right.means("mrr") == [1] and wrong.means("mrr") == [0]


def test_the_interval_is_seeded(found, tiny_backbone):
    row = next(row for row in found.rows if row.name == "paper")
    gap = found.difference(row)
    assert gap.low <= gap.mean <= gap.high
    assert found.difference(row) == gap


def test_types_are_counted_over_all_sets(found):
    assert list(found.kinds) == ["person", "number"]
    row = found.rows[0]
    small, second = (run.values["recall@400"] for run in row.runs)
    means = found.kind_means(row)
    assert means["person"] == pytest.approx((small[0] + second[0]) / 2)
    assert means["number"] == pytest.approx((small[1] + small[2] + second[1]) / 3)


def test_a_limit_takes_questions_evenly(tiny_backbone):
    found = evaluate(
        [SET], [oracle("right")], limit=2, budgets=(50, 50), model=tiny_backbone, progress=False
    )
    assert [question.id for question in found.sets[0].questions] == ["q0", "q2"]
    assert found.budgets == (50,)
    assert len(found.runs[0].hits) == 2


def test_what_cannot_be_evaluated_is_refused(tiny_backbone):
    for sets, settings in (
        ([], {}),
        ([SET, SET], {}),
        ([SET], {"budgets": ()}),
        ([SET], {"budgets": (0, 100)}),
        ([SET], {"limit": 0}),
        ([SET], {"rankers": ["bm52"]}),
    ):
        with pytest.raises(InputError):
            evaluate(sets, model=tiny_backbone, progress=False, **settings)


def test_without_evidence_answers_remain(tiny_backbone):
    questions = (LabelledQuestion("q", "Who?", ("Tomas",), ()),)
    found = evaluate(
        [replace(SET, questions=questions)],
        ["bm25"],
        model=tiny_backbone,
        answers=AnswerConfig(max_new_tokens=2),
        progress=False,
    )
    (row,) = found.rows
    assert isnan(row.mean("recall@2000")) and not isnan(row.mean("nll"))
    assert "·" in tables(found) and "nan" not in tables(found)


def test_answers_are_measured_by_the_same_reader(judged, tiny_backbone):
    right, wrong = judged.rows
    for row in judged.rows:
        run = row.runs[0]
        assert set(READER_METRICS) < set(run.values)
        for question, text, em, f1 in zip(
            SET.questions, run.answers, run.values["em"], run.values["f1"], strict=True
        ):
            assert em == exact_match(text, question.answers)
            assert f1 == token_f1(text, question.answers)
    assert right.runs[0].values["in_context"].tolist() == [1, 1, 1, 0]
    assert wrong.runs[0].values["in_context"].tolist() == [0, 0, 0, 0]
    assert (right.runs[0].values["nll"] > 0).all()


def test_the_likelihood_is_that_of_the_answer_after_the_prompt(judged, tiny_backbone):
    question, hits = SET.questions[1], judged.rows[0].runs[0].hits[1]
    reader = Reader(tiny_backbone, SET.documents)
    generator = TextGenerator(tiny_backbone)
    spans = reader._spans(hits)
    assert [span.text for span in spans] == [
        SET.documents[1].text[hit.start : hit.end] for hit in hits
    ]
    prompt = build_prompt(generator, question.question, spans, SHORT).text
    ids = generator.encode(prompt)
    total, answer = 0.0, tiny_backbone.text.encode("eighteen hours").ids.tolist()
    for token in answer:
        with torch.inference_mode():
            logits = tiny_backbone.model(torch.tensor([ids])).logits[0, -1]
        total -= float(torch.log_softmax(logits, 0)[token])
        ids.append(token)
    nll = judged.rows[0].runs[0].values["nll"][1]
    assert nll == pytest.approx(total / len(answer), rel=1e-4)
    (text, _) = reader.measure(question, hits, None)
    assert text == generator.generate(prompt, max_new_tokens=32).strip()


def test_nothing_diverges_from_the_full_context_but_other_contexts(tiny_backbone, judged):
    reader = Reader(tiny_backbone, SET.documents, budget=10_000)
    question = SET.questions[0]
    full = reader.full_context(question)
    assert full.shape[0] <= FIRST_TOKENS
    torch.testing.assert_close(full.exp().sum(1), torch.ones(len(full)))
    everything = [Hit(document.id, 0, len(document.text), 0.0) for document in SET.documents]
    assert reader.measure(question, everything, full)[1]["kl"] == pytest.approx(0, abs=1e-6)
    assert (judged.rows[1].runs[0].values["kl"] > 1e-4).all()
    assert isnan(reader.measure(question, everything, None)[1]["kl"])


def test_the_full_context_is_the_corpus_or_the_documents_with_evidence(tiny_backbone):
    asked, unknown = SET.questions[0], SET.questions[3]
    small = Reader(tiny_backbone, SET.documents)
    filler = replace(SET.documents[1], id="filler", text=SET.documents[1].text * 100)
    large = Reader(tiny_backbone, [*SET.documents, filler])
    only = Reader(tiny_backbone, SET.documents[:1])
    torch.testing.assert_close(large.full_context(asked), only.full_context(asked))
    assert not torch.allclose(small.full_context(asked), only.full_context(asked))
    assert large.full_context(unknown) is None


def test_divergence_by_hand():
    one, other = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    wanted = (0.5 * log(2) + 0.5 * log(0.5 / 0.75) + log(2)) / 2
    logs = one.clamp_min(1e-30).log(), other.log()
    assert divergence(*logs) == pytest.approx(wanted)
    assert divergence(logs[0], logs[0]) == 0


def test_hits_that_overlap_are_read_once(tiny_backbone):
    spans = Reader(tiny_backbone, SET.documents)._spans(
        [Hit("river", 5, 30, 1.0), Hit("bread", 10, 20, 0.9), Hit("river", 20, 50, 0.8)]
    )
    assert [(s.document_id, s.start, s.end) for s in spans] == [("bread", 10, 20), ("river", 5, 50)]


def test_tables_name_everything(found, judged):
    text = tables(found)
    for row in found.rows:
        assert row.title in text and row.variant in text
    for word in ("small", "second", "mean", "95% CI", "MRR", "bytes/token", "best baseline"):
        assert word in text
    assert "person (2)" in text and "number (3)" in text
    assert "exact match" not in text
    lines = text.split("\n\n")[0].splitlines()
    assert len({len(line) for line in lines[1:]}) == 1
    every = str(every_variant(found))
    assert every.count("characters") >= 3 * 6
    answers = tables(judged)
    assert "exact match" in answers and "KL to full context" in answers
    assert "+100.0 [+100.0, +100.0]" in answers


def test_json_holds_every_value(found, judged):
    data = json.loads(to_json(found, ["s3-retriever", "eval"]))
    assert data == json.loads(json.dumps(as_json(found, ["s3-retriever", "eval"])))
    assert data["command"] == ["s3-retriever", "eval"] and data["seed"] == 0
    assert data["about"]["versions"]["torch"] == torch.__version__
    assert {"system", "processor", "cores", "threads"} <= set(data["about"]["machine"])
    assert data["about"]["bank"]["heads"] == ["0.1", "1.2", "2.0"]
    assert data["about"]["bank"]["layers_read"] == 3
    for run, stored in zip(found.runs, data["variants"], strict=True):
        for metric, values in run.values.items():
            loaded = [np.nan if value is None else value for value in stored["values"][metric]]
            np.testing.assert_allclose(loaded, values, atol=1e-6)
    first = data["rows"][0]
    assert first["ranker"] == "attention+bm25"
    assert first["means"]["recall@400"] == pytest.approx(found.rows[0].mean("recall@400"), abs=1e-6)
    assert len(first["difference"]) == 3
    assert [tuple(hit[:3]) for hit in first["hits"]["small"][0]] == [
        hit[:3] for hit in found.rows[0].runs[0].hits[0]
    ]
    assert data["sets"][0]["questions"][3] == {"id": "q3", "type": ""}
    assert json.loads(to_json(judged))["rows"][0]["means"]["nll"] > 0
