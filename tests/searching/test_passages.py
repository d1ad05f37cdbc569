"""Sentences of a corpus as arrays: who owns which token, and what neighbours share."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from passage_samples import some_passages
from s3_retriever.documents import Document
from s3_retriever.searching.passages import MIN_NEIGHBOUR_WEIGHT, cut_passages
from small_corpus import SOURCES

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.searching.passages import Passages


def smoothed(passages: Passages, scores: Tensor, reach: float, power: float) -> Tensor:
    """The documented formula, each pair of sentences on its own."""
    centre = (passages.start + passages.end) / 2
    total = torch.zeros_like(scores)
    for a in range(len(passages)):
        for b in range(len(passages)):
            if passages.document[a] == passages.document[b]:
                total[a] += scores[b] ** power * np.exp(-abs(centre[a] - centre[b]) / reach)
    return total ** (1 / power)


@pytest.mark.parametrize("power", [1.0, 2.5])
def test_smooth_is_the_formula(power: float) -> None:
    passages = some_passages([[120, 60, 200, 90], [80], [300, 40, 150]])
    scores = torch.rand(len(passages), 3, generator=torch.Generator().manual_seed(0))
    reach = 400.0  # no weight falls below the one that is left out
    expected = smoothed(passages, scores, reach, power)
    torch.testing.assert_close(passages.smooth(scores, reach, power), expected)
    torch.testing.assert_close(passages.smooth(scores[:, 0], reach, power), expected[:, 0])


def test_smooth_leaves_out_what_hardly_counts() -> None:
    passages = some_passages([[100] * 40])
    scores = torch.zeros(40)
    scores[20] = 1.0
    result = passages.smooth(scores, 200.0, 1.0)
    weights = torch.exp(-(torch.arange(40) - 20).abs() * 100 / 200.0)
    torch.testing.assert_close(result, torch.where(weights >= MIN_NEIGHBOUR_WEIGHT, weights, 0.0))


def test_smooth_keeps_documents_apart() -> None:
    passages = some_passages([[50, 50], [50, 50], [50]])
    scores = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    result = passages.smooth(scores, 200.0, 2.5)
    assert (result[2:] == 0).all() and result[1] == 1 and 0 < result[0] < 1


def test_a_larger_power_comes_near_the_best() -> None:
    passages = some_passages([[50, 50, 50]])
    scores = torch.tensor([1.0, 1.0, 1.0])
    middle = [float(passages.smooth(scores, 1e6, power)[1]) for power in (1.0, 2.5, 50.0)]
    assert middle[0] == pytest.approx(3, abs=1e-3) and middle[2] == pytest.approx(1, abs=0.03)
    assert middle == sorted(middle, reverse=True)


def test_every_token_belongs_to_the_sentence_of_its_last_character(
    tiny_backbone: Backbone,
) -> None:
    documents = [Document(name, text) for name, text in SOURCES.items()]
    encoded = tiny_backbone.text.encode_batch([document.text for document in documents])
    passages = cut_passages(documents, [text.ends for text in encoded])
    assert passages.bounds[0] == 0 and passages.bounds[-1] == sum(map(len, encoded))
    places = [(number, end) for number, text in enumerate(encoded) for end in text.ends]
    for a in range(len(passages)):
        for number, end in places[passages.bounds[a] : passages.bounds[a + 1]]:
            assert number == passages.document[a]
            assert passages.start[a] < end <= passages.end[a]


def test_sentences_of_each_document_tile_it() -> None:
    documents = [Document(name, text) for name, text in SOURCES.items()]
    passages = cut_passages(documents, [np.array([1])] * len(documents))
    for number, document in enumerate(documents):
        mine = passages.document == number
        ends = passages.end[mine]
        assert ends[-1] == len(document.text)
        assert passages.start[mine].tolist() == [0, *ends[:-1]]


def test_sentences_may_own_no_token() -> None:
    text = "The first sentence of this text. The second one is here too. And there is a third."
    first = text.index("The second")
    passages = cut_passages([Document("a", text)], [np.array([5, 75])])
    assert passages.end[0] == first
    assert passages.bounds.tolist() == [0, 1, 1, 2]


def test_random_offsets_are_all_owned() -> None:
    chance = random.Random(0)
    text = "A sentence of the text is this one here. " * 30
    for _ in range(50):
        ends = np.array(sorted(chance.choices(range(1, len(text) + 1), k=chance.randint(1, 60))))
        passages = cut_passages([Document("a", text)], [ends])
        owner = np.repeat(np.arange(len(passages)), np.diff(passages.bounds))
        assert (passages.start[owner] < ends).all() and (ends <= passages.end[owner]).all()
