"""One item asked in every way, and what a report says of many."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tables
import torch
from longbench_asking import FULL, VARIANTS, Asker, Retriever, retrievers, taken
from longbench_report import report, retention_interval
from longbench_tasks import TASKS, Item

from random_bank import make_bank
from s3_retriever.codec import TokenCodes
from s3_retriever.evaluate.rankers.hits import Hit

NONE = np.empty((10, 0), dtype=np.uint8)
PLACES = TokenCodes(
    latents=NONE,
    values=NONE,
    residual=NONE,
    starts=np.arange(0, 50, 5, dtype=np.int32),
    ends=np.arange(5, 55, 5, dtype=np.int32),
)
"""Ten tokens of five characters."""

CONTEXT = "".join(f"Street {n} has {n + 3} houses. Its oldest one is blue. " for n in range(60))


def test_a_budget_of_tokens_is_spent_in_order_and_shown_in_that_of_the_text():
    hits = [Hit("a", 30, 40, 3.0), Hit("a", 0, 15, 2.0), Hit("a", 15, 50, 1.0)]
    assert taken(hits, PLACES, 2) == [(30, 40)]
    assert taken(hits, PLACES, 4) == [(0, 10), (30, 40)]
    assert taken(hits, PLACES, 6) == [(0, 20), (30, 40)]  # touching ones are joined
    assert taken(hits, PLACES, 99) == [(0, 50)]
    assert taken([], PLACES, 9) == []


def test_every_contender_has_its_setting():
    assert [one.name for one in retrievers()] == list(VARIANTS)


@pytest.fixture
def asker(tiny_backbone):
    made = Asker(tiny_backbone, make_bank(tiny_backbone), budget=400, window=900)
    made.retrievers = [one for one in made.retrievers if one.name in ("attention+bm25", "bm25")]
    return made


def test_a_question_of_several_hops(asker):
    item = Item(TASKS["hotpotqa"], "1", "How many houses has street 7?", CONTEXT, ("10",))
    found = asker.outcome(item)
    assert list(found["contenders"]) == [FULL, "attention+bm25", "bm25"]
    assert (found["task"], found["id"], found["whole"]) == ("hotpotqa", "1", False)
    for name, own in found["contenders"].items():
        assert own["nll"] > 0 and 0 <= own["score"] <= 1
        assert own["tokens"] == found["tokens"] if name == FULL else 380 <= own["tokens"] <= 420
    assert found["contenders"][FULL]["kl"] == 0 < found["contenders"]["bm25"]["kl"]
    assert found["contenders"]["bm25"]["in_context"] == 1  # its words are those of the question


def test_an_answer_in_what_was_cut_away_is_not_in_the_context(asker):
    context = CONTEXT + "The mill is red. " + CONTEXT
    asker.retrievers = []
    shown = [
        asker.outcome(Item(TASKS["hotpotqa"], "1", asked, context, answers))["contenders"][FULL]
        for asked, answers in (("How is the mill?", ("red",)), ("Is it red?", ("red",)))
    ]
    assert [own["in_context"] for own in shown] == [0, 0]


def test_an_answer_among_examples_ends_with_its_line(asker, monkeypatch):
    asker.retrievers = []
    pieces = iter(["\n", "Ann ", "went.\nBob", " stayed", "."])
    monkeypatch.setattr(asker.generator, "stream", lambda prompt, **settings: pieces)
    found = asker.outcome(Item(TASKS["triviaqa"], "1", "Who went?", CONTEXT[:200], ("Ann went.",)))
    own = found["contenders"][FULL]
    assert own["answer"] == "\nAnn went.\nBob" and next(pieces) == " stayed"
    assert own["score"] == pytest.approx(1, abs=1e-6) and found["whole"]
    assert "kl" not in own


def test_an_answer_of_one_line_does_not_begin_with_its_end(asker, monkeypatch):
    asker.retrievers = []
    backbone = asker.generator.backbone
    newline = backbone.tokenizer.encode("\n", add_special_tokens=False)[-1]
    scores = torch.zeros(backbone.model.config.vocab_size)
    scores[newline], scores[backbone.tokenizer.encode("a", add_special_tokens=False)[-1]] = 2.0, 1.0
    monkeypatch.setattr(
        backbone.model.lm_head, "forward", lambda states: scores.expand(*states.shape[:-1], -1)
    )
    item = Item(TASKS["samsum"], "1", "Summary: ", CONTEXT[:200], ("Ann went.",))
    assert asker.outcome(item)["contenders"][FULL]["answer"].strip() == "a"


def outcome(task, number, full, ours, *, whole=True, **hops):
    own = {FULL: {"score": full, "tokens": 900}, "attention+bm25": {"score": ours, "tokens": 100}}
    contenders = {name: {**values, **hops} for name, values in own.items()}
    return {"task": task, "id": str(number), "tokens": 900, "whole": whole} | {
        "contenders": contenders
    }


OURS = [Retriever("attention+bm25", "S3 + BM25", "", lambda bench: None)]


def test_a_report():
    hops = {"in_context": 1.0, "nll": 2.0, "kl": 0.25}
    items = [outcome("hotpotqa", n, 0.5, 0.25 * n, **hops) for n in range(4)]
    items += [outcome("qmsum", n, 0.25, 0.25, whole=False) for n in range(2)]
    made = report(items, OURS)
    full, ours = made["rows"]
    assert (full["mean"], ours["mean"]) == (37.5, 31.25)
    middle, low, high = ours["retention"]
    assert middle == pytest.approx(83.33) and low < middle < high
    assert ours["to_full"][0] == -6.25 and full["ours_to_this"] == ours["to_full"]
    assert ours["where_whole"][0] == 75 and (made["items"], made["items_whole"]) == (6, 4)
    assert made["tasks"][0]["scores"] == {FULL: 50, "attention+bm25": 37.5}
    assert [(one["name"], one["items"], one["whole"]) for one in made["tasks"]] == [
        ("hotpotqa", 4, 4),
        ("qmsum", 2, 0),
    ]
    assert made["hops"]["attention+bm25"] == hops and made["hops_items"] == 4


def test_nothing_is_retained_of_nothing():
    (full, ours) = report([outcome("qmsum", 1, 0.0, 0.5)], OURS)["rows"]
    assert full["mean"] == 0 and ours["retention"] is None and ours["to_full"][0] == 50
    assert report([], OURS)["rows"][1]["mean"] is None


def test_the_interval_of_a_ratio_is_of_the_same_items():
    values = [np.array([0.1, 0.5, 0.9, 0.3])]
    assert retention_interval(values, values, 0) == (1, 1)
    half = retention_interval([values[0] / 2], values, 0)
    assert half == (pytest.approx(0.5), pytest.approx(0.5))
    nothing = retention_interval(values, [np.zeros(4)], 0)
    assert all(math.isnan(bound) for bound in nothing)


def test_tables_show_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.longbench() == tables.longbench_hops() == tables.NOT_RUN
    hops = {"in_context": 1.0, "nll": 2.0, "kl": 0.25}
    items = [outcome("hotpotqa", n, 0.5, 0.25 * n, **hops) for n in range(4)]
    made = {"budget": 100, "window": 1000, "items_chosen": 9}
    text = json.dumps({**made, **report(items, OURS)})
    (tmp_path / "longbench-cpu.json").write_text(text, encoding="utf-8")
    told, _, heads, _, hotpotqa, mean, tokens, retention, less = tables.longbench().splitlines()
    assert told.startswith("4 of 9 items") and heads.endswith("| full context | S3 + BM25 |")
    assert hotpotqa == "| hotpotqa | 4 | 4 | 50.0 | 37.5 |"
    assert mean == "| mean of tasks | 4 | 4 | 50.0 | 37.5 |" and tokens.endswith("| 900 | 100 |")
    assert "|  | 75.0 (" in retention and "| -12.5 (" in less
    assert tables.longbench_hops().splitlines()[2:] == [
        "| full context | 100.0 | 2.000 |  |",
        "| S3 + BM25 | 100.0 | 2.000 | 0.250 |",
    ]
