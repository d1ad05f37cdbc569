"""Rows of tables and records: what they share, what is saved of them, and how they are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from passage_samples import some_passages
from s3_retriever.config import Weighing
from s3_retriever.documents import Document
from s3_retriever.searching.headers import PROSE, RECORD
from s3_retriever.searching.lexical import LexicalScorer
from s3_retriever.searching.neighbours import Neighbours
from s3_retriever.searching.passages import Passages, cut_passages, joined_passages
from s3_retriever.searching.peaks import Peak, pick
from s3_retriever.searching.scorer import Asked, IndexedText
from s3_retriever.text.words import codes

TABLE = """Here is the list of all things.

part,price
nut-7,12
bolt-8,15
rod-9,20

That was all of them.
"""
RECORDS = '{"part": "nut-7", "price": 12}\n{"part": "bolt-8", "price": 15}\n'
KINDS = ["prose", "header", "row", "row", "row", "prose", "record", "record"]


@pytest.fixture(scope="module")
def passages() -> Passages:
    """A document of prose around a table, and one of records."""
    documents = [Document("table", TABLE), Document("records", RECORDS)]
    return cut_passages(documents, [np.array([len(own.text)]) for own in documents])


def kinds(passages: Passages) -> list[str]:
    names = {PROSE: "prose", RECORD: "record"}
    found = [names.get(int(header), "row") for header in passages.header]
    for header in passages.header[passages.header >= 0]:
        found[header] = "header"
    return found


def same(left: Passages, right: Passages) -> bool:
    names = ("document", "start", "end", "bounds", "header")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


def test_rows_know_their_header(passages: Passages) -> None:
    assert kinds(passages) == KINDS
    assert passages.header[2:5].tolist() == [1, 1, 1]
    assert passages.alone.tolist() == [kind in ("row", "record") for kind in KINDS]


def test_what_is_saved_comes_back(passages: Passages) -> None:
    assert same(Passages.of_arrays(passages.arrays()), passages)
    short = {**passages.arrays(), "kinds": np.zeros(3, np.uint8)}
    with pytest.raises(ValueError, match="cut short"):
        Passages.of_arrays(short)


def test_joined_and_chosen_documents_keep_their_headers(passages: Passages) -> None:
    both = joined_passages([passages, passages])
    assert kinds(both) == 2 * KINDS
    last = both.of(both.choose(np.array([2, 3])))
    assert same(last, passages)


def test_a_row_shares_with_its_header_alone(passages: Passages) -> None:
    scores = torch.tensor([1.0, 2.0, 4.0, 8.0, 0.0, 16.0, 32.0, 64.0])
    smooth = passages.smooth(scores, 200.0, 3.0)
    assert smooth[2:5].tolist() == [6.0, 10.0, 2.0] and smooth[6:].tolist() == [32.0, 64.0]
    prose = replace(passages, header=np.full(len(passages), PROSE))
    kept = torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0, 16.0, 0.0, 0.0])
    expected = prose.smooth(kept, 200.0, 3.0)
    torch.testing.assert_close(smooth[[0, 1, 5]], expected[[0, 1, 5]])
    vectors = torch.rand(len(passages), 3)
    torch.testing.assert_close(passages.spread(vectors, 200.0)[3], vectors[3] + vectors[1])


@pytest.mark.parametrize("numbers", [[3], [0, 4], [2, 6], [7]])
def test_what_is_near_suffices(passages: Passages, numbers: list[int]) -> None:
    scores = torch.rand(len(passages), generator=torch.Generator().manual_seed(1))
    found = Neighbours.of(passages, np.array(numbers), 200.0)
    some = found.smooth(scores[torch.from_numpy(found.near), None], 3.0)[:, 0]
    whole = passages.smooth(scores, 200.0, 3.0)
    torch.testing.assert_close(some, whole[torch.tensor(numbers)])


def test_some_without_a_header_have_none(passages: Passages) -> None:
    kept = np.isin(np.arange(len(passages)), [0, 3, 6])
    assert passages.header_among(kept).tolist() == [PROSE, PROSE, RECORD]
    assert passages.rows_of(np.array([0, 1])).tolist() == [2, 3, 4]
    assert passages.rows_of(np.array([0, 2])).tolist() == []


def test_rows_and_records_do_not_grow() -> None:
    whole = some_passages([[50] * 6])
    passages = replace(whole, header=np.array([PROSE, PROSE, 1, 1, RECORD, PROSE]))
    scores = np.array([0.1, 0.2, 1.0, 0.3, 0.9, 0.0])
    assert pick(scores, passages, 2, 240) == [Peak(2, 3, 2), Peak(4, 5, 4)]


def test_codes_are_words_that_hang_together() -> None:
    text = "On 2023-03-05, KX-204 (see a/b2) cost 3.14. Well-known, e.g. here; end-7."
    assert codes(text) == ["2023-03-05", "kx-204", "a/b2", "3.14", "end-7"]


def lexical(passages: Passages, question: Asked, candidates: list[int]) -> list[float]:
    documents = (Document("table", TABLE), Document("records", RECORDS))
    text = IndexedText(documents, passages, None, None)  # type: ignore[arg-type]
    (scores,) = LexicalScorer(text).scores([question], np.array(candidates), Weighing())
    return scores.tolist()


def test_a_key_finds_its_row_before_the_header(passages: Passages) -> None:
    scores = lexical(passages, Asked("what price has bolt-8?", torch.empty(0)), [*range(8)])
    assert max(scores[:6]) == scores[3]


def test_words_that_name_a_document_find_a_row_all_the_same(passages: Passages) -> None:
    place = Asked("bolt-8", torch.empty(0))
    told = Asked("what price", torch.empty(0), place=place, whole="what price has bolt-8")
    scores = lexical(passages, told, [*range(8)])
    assert max(scores[:6]) == scores[3] and max(scores[6:]) == scores[7]
    untold = lexical(passages, Asked("what price", torch.empty(0)), [*range(8)])
    assert untold[2] == untold[3] == untold[4]
