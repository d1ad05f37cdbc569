"""Questions as the model reads them: alone or together, the queries of their own tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from random_bank import make_bank
from s3_retriever.backbone import Head
from s3_retriever.codec.places import PlaceHead
from s3_retriever.config import ScanConfig
from s3_retriever.reading.chunks import prefix_ids
from s3_retriever.reading.questions import head_queries, read_questions
from small_corpus import QUESTIONS

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone

HEADS = (Head(0, 1), Head(2, 3))
ASKED = [*QUESTIONS, "Why?", "Where is the 🗼 of Cape Morrow? " * 5]


def alone(backbone: Backbone, question: str, prefix: tuple[int, ...]) -> Tensor:
    tokens = [*prefix, *backbone.text.encode(question).ids.tolist()]
    with backbone.tap((), HEADS) as reader:
        return reader.queries(torch.tensor([tokens]))[0, len(prefix) :].float()


@pytest.mark.parametrize("batch_tokens", [16, 200, 4096])
def test_questions_are_read_together_as_alone(tiny_backbone: Backbone, batch_tokens: int) -> None:
    config = ScanConfig(batch_tokens=batch_tokens)
    prefix = prefix_ids(tiny_backbone.text, config.preamble)
    found = head_queries(tiny_backbone, HEADS, ASKED, config)
    for question, queries in zip(ASKED, found, strict=True):
        expected = alone(tiny_backbone, question, prefix)
        assert queries.shape == (tiny_backbone.text.count(question), 2, 16)
        torch.testing.assert_close(queries, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("clause", [slice(0, 1), slice(0, 3), slice(3, 8), slice(7, 8)])
def test_words_that_name_a_document_are_taken_out_whole(
    tiny_backbone: Backbone, clause: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Sötterin 🗼 lease: who pays for heat in it?"
    count = tiny_backbone.text.count(text)
    clause = slice(clause.start, count if clause.start else clause.stop)
    monkeypatch.setattr(PlaceHead, "clause", lambda self, queries: clause)
    bank = make_bank(tiny_backbone)
    size = len(bank.calibration.heads) * tiny_backbone.spec.head_dim
    head = PlaceHead(torch.zeros(size, 5), torch.zeros(6))
    naming = replace(bank, calibration=bank.calibration.replace(places=head))
    (plain,) = read_questions(tiny_backbone, bank, [text], ScanConfig())
    assert plain.where is None and plain.what is plain.whole and plain.whole.text == text
    (parted,) = read_questions(tiny_backbone, naming, [text], ScanConfig())
    assert torch.equal(parted.whole.queries, plain.whole.queries)
    assert parted.where is not None
    assert torch.equal(parted.where.queries, plain.whole.queries[clause])
    first, last = parted.where, parted.what
    if clause.start:
        first, last = last, first
    assert first.text + last.text == text and first.text and last.text
    assert torch.equal(torch.cat([first.queries, last.queries]), plain.whole.queries)


def test_without_a_clause_the_whole_is_what_is_asked(tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    size = len(bank.calibration.heads) * tiny_backbone.spec.head_dim
    bias = torch.zeros(6)
    bias[5] = 50.0
    head = PlaceHead(torch.zeros(size, 5), bias)
    bank = replace(bank, calibration=bank.calibration.replace(places=head))
    for question in read_questions(tiny_backbone, bank, ASKED, ScanConfig()):
        assert question.where is None and question.what is question.whole


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("Sötterin lease: who pays for heat?", True),
        ("灯塔是什么时候点亮的?", False),
        ("Когда зажгли маяк?", False),
        ("प्रकाशस्तंभ कब जलाया गया?", False),
    ],
)
def test_questions_in_letters_that_the_head_has_not_learnt_stay_whole(
    tiny_backbone: Backbone, text: str, parted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlaceHead, "clause", lambda self, queries: slice(0, 2))
    bank = make_bank(tiny_backbone)
    size = len(bank.calibration.heads) * tiny_backbone.spec.head_dim
    head = PlaceHead(torch.zeros(size, 5), torch.zeros(6))
    bank = replace(bank, calibration=bank.calibration.replace(places=head))
    (question,) = read_questions(tiny_backbone, bank, [text], ScanConfig())
    assert (question.where is not None) == parted
    assert parted or question.what is question.whole
