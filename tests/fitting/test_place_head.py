"""The head that finds which words of a question name a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from s3_retriever.backbone import Head
from s3_retriever.codec.places import PlaceHead, parse_logits
from s3_retriever.config import ScanConfig
from s3_retriever.errors import InputError
from s3_retriever.fitting.named_questions import NamedQuestion, named_questions
from s3_retriever.fitting.places import fit_head, fit_places, true_clause

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

HEADS = (Head(0, 1), Head(1, 2))
ASKED = ["Who kept bees on the island?", "When was the mill rebuilt?"]


def test_made_questions_are_whole_and_every_third_has_a_clause_at_one_end() -> None:
    made = named_questions(ASKED, 300)
    assert made == named_questions(ASKED, 300) != named_questions(ASKED, 300, seed=1)
    assert [n for n, q in enumerate(made) if q.start < q.end] == [*range(0, 300, 3)]
    for question in made:
        assert "{" not in question.text and question.text == question.text.strip()
        assert question.start == question.end or 0 in (
            question.start,
            len(question.text) - question.end,
        )
    assert any(asked in question.text for question in made for asked in ASKED)


def test_parses_are_scored_as_defined() -> None:
    rows = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    lengths = (4, 2, 1)
    found = parse_logits(rows, torch.tensor(0.5), torch.tensor(lengths))
    for own, count, parses in zip(rows, lengths, found, strict=True):
        front = [own[:m, 0].sum() + own[m - 1, 1] + own[m, 2] for m in range(1, count)]
        behind = [own[m:count, 0].sum() + own[m - 1, 3] + own[m, 4] for m in range(1, count)]
        nothing = [torch.tensor(-torch.inf)] * (4 - count)
        true = [torch.tensor(0.5), *front, *nothing, *behind, *nothing]
        torch.testing.assert_close(parses, torch.stack(true))


@pytest.mark.parametrize(("marked", "clause"), [((0, 1), slice(0, 2)), ((3,), slice(3, 4))])
def test_a_clause_is_what_more_likely_than_not_belongs_to_it(
    marked: tuple[int, ...], clause: slice
) -> None:
    weight = torch.zeros(1, 5)
    weight[0, 0] = 20.0
    queries = -torch.ones(4, 1, 1)
    queries[[*marked]] = 1.0
    head = PlaceHead(weight, torch.zeros(6))
    assert head.clause(queries) == clause
    empty = head.clause(-torch.ones(4, 1, 1))
    assert empty.start == empty.stop
    alone = head.clause(torch.ones(1, 1, 1))
    assert alone.start == alone.stop


def test_a_head_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"weight is \[4, 4\]"):
        PlaceHead(torch.zeros(4, 4), torch.zeros(6))
    with pytest.raises(InputError, match=r"bias is \[5\]"):
        PlaceHead(torch.zeros(4, 5), torch.zeros(5))


def test_the_true_clause_is_that_of_the_tokens_inside(tiny_backbone: Backbone) -> None:
    text = "In the lease, who pays?"
    tokens = tiny_backbone.text.encode(text)
    starts, ends = tokens.starts.tolist(), tokens.ends.tolist()
    count = len(ends)
    for whole in (NamedQuestion(text, 0, 0), NamedQuestion(text, 0, len(text))):
        assert true_clause(whole, tokens) == slice(count, count)
    for number in range(1, count):
        front = NamedQuestion(text, 0, ends[number - 1])
        assert true_clause(front, tokens) == slice(0, number)
        behind = NamedQuestion(text, starts[number], len(text))
        assert true_clause(behind, tokens) == slice(number, count)


@pytest.mark.slow
def test_a_fitted_head_finds_clauses_that_it_has_not_seen() -> None:
    random = torch.Generator().manual_seed(0)
    rows, clauses = [], []
    for number in range(600):
        count = 4 + number % 9
        members = 1 + number % (count - 1)
        clause = (slice(count, count), slice(0, members), slice(count - members, count))[number % 3]
        own = torch.randn(count, 1, 4, generator=random)
        own[:, 0, 2] = -3.0
        own[clause, 0, 2] = 3.0
        rows.append(own)
        clauses.append(clause)
    head = fit_head([own.flatten(1) for own in rows[:500]], clauses[:500])
    found = [head.clause(own) for own in rows[500:]]
    right = sum(one == other for one, other in zip(found, clauses[500:], strict=True))
    assert right >= 95


@pytest.mark.slow
def test_a_head_is_as_wide_as_the_queries_and_the_same_each_time(tiny_backbone: Backbone) -> None:
    scan = ScanConfig(batch_tokens=2048)
    head = fit_places(tiny_backbone, HEADS, ASKED, 240, scan)
    size = len(HEADS) * tiny_backbone.spec.head_dim
    assert head.weight.shape == (size, 5) and bool(torch.isfinite(head.weight).all())
    again = fit_places(tiny_backbone, HEADS, ASKED, 240, scan)
    torch.testing.assert_close(head.weight, again.weight)
