"""Learning what texts mean from a teacher's vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn.functional import normalize

from random_bank import make_bank
from random_head import SIZE, make_head
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.fitting import HeadTeacher, SentenceConfig, default_teacher, fit_sentences
from s3_retriever.fitting.sentences import Pairs, fit_head
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec.sentences import SentenceHead, TokenNetwork

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
DOCUMENTS = tuple(Document(name, text) for name, text in SOURCES.items())
SMALL = SentenceConfig(size=6, width=8, epochs=2, batch_texts=8, asked=20)
TOPICS, INPUTS = 8, 24


def topics(count: int, seed: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Texts of one to six tokens, half of them noise, the others of one topic; what a teacher has
    of each; its topic."""
    random = torch.Generator().manual_seed(seed)
    signs = torch.randn(TOPICS, INPUTS, generator=torch.Generator().manual_seed(99))
    topic = torch.randint(TOPICS, (count,), generator=random)
    rows = []
    for number in topic.tolist():
        tokens = int(torch.randint(1, 7, (), generator=random))
        told = torch.rand(tokens, 1, generator=random) < 0.5
        told[0] = True
        noise = torch.randn(tokens, INPUTS, generator=random)
        rows.append(3 + torch.where(told, 2 * signs[number] + 0.5 * noise, 2 * noise))
    vectors = torch.eye(TOPICS)[topic] + 0.05 * torch.randn(count, TOPICS, generator=random)
    return rows, vectors, topic


def vectors_of(network: TokenNetwork, rows: Sequence[Tensor]) -> Tensor:
    return normalize(torch.stack([network(row).sum(0) for row in rows]), dim=1)


def test_what_means_the_same_lies_together() -> None:
    config = SentenceConfig(size=TOPICS, width=16, epochs=20, batch_texts=64)
    rows, vectors, _ = topics(600, 0)
    asked, sought, _ = topics(200, 1)
    head = fit_head(Pairs(rows, vectors), Pairs(asked, sought), config)
    new, _, topic = topics(200, 2)
    questions, _, wanted = topics(100, 3)
    near = vectors_of(head.queries, questions) @ vectors_of(head.keys, new).T
    best = topic[near.argmax(1)]
    assert (best == wanted).float().mean() > 0.9
    assert (vectors_of(head.keys, new).norm(dim=1) - 1).abs().max() < 1e-4


def fit(backbone: Backbone, documents: Sequence[Document], config: SentenceConfig) -> SentenceHead:
    def teacher(texts: Sequence[str]) -> Tensor:
        """Told apart by the letters they are made of."""
        letters = "abcdefghijklmnopqrstuvwxyz"
        return torch.tensor([[float(text.count(letter)) for letter in letters] for text in texts])

    bank = make_bank(backbone)
    return fit_sentences(backbone, bank, documents, QUESTIONS, teacher, config, scan=SCAN)


def test_a_head_is_fitted_to_a_model_and_its_bank(tiny_backbone: Backbone) -> None:
    head = fit(tiny_backbone, DOCUMENTS, SMALL)
    bank = replace(make_bank(tiny_backbone), sentences=head)
    assert head.size == 6 and bank.sentences is head
    again = fit(tiny_backbone, DOCUMENTS, SMALL)
    other = fit(tiny_backbone, DOCUMENTS, SMALL.replace(seed=1))
    assert all(torch.equal(a, b) for a, b in zip(*_weights(head, again), strict=True))
    assert not torch.equal(head.keys.out, other.keys.out)
    assert all(torch.equal(w, w.half().float()) for w in head.tensors().values())


def _weights(*heads: SentenceHead) -> list[list[Tensor]]:
    return [[*head.tensors().values()] for head in heads]


def test_more_numbers_than_the_teacher_has_are_nothing_to_learn(tiny_backbone: Backbone) -> None:
    head = fit(tiny_backbone, DOCUMENTS, SMALL.replace(size=40))
    assert head.size == 40


@pytest.mark.parametrize("text", ["", "   \n", "Too short.", "One sentence that stands alone."])
def test_text_of_a_sentence_teaches_nothing(tiny_backbone: Backbone, text: str) -> None:
    documents = [Document(id="one", text=text)] if text.strip() else []
    with pytest.raises(InputError, match="more text than a sentence"):
        fit(tiny_backbone, documents, SMALL)


def test_a_teacher_reads_each_text_alone(tiny_backbone: Backbone) -> None:
    plain = make_bank(tiny_backbone)
    bank = replace(plain, sentences=make_head(plain.calibration))
    teacher = HeadTeacher(tiny_backbone, bank, SCAN)
    texts = [*QUESTIONS, SOURCES["bread"], "Bread."]
    vectors = teacher(texts)
    assert vectors.shape == (len(texts), SIZE)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(texts)))
    torch.testing.assert_close(teacher(texts[::-1]), vectors.flip(0), rtol=1e-3, atol=1e-4)


def test_a_bank_without_a_head_teaches_nothing(tiny_backbone: Backbone) -> None:
    with pytest.raises(InputError, match="no sentence head"):
        HeadTeacher(tiny_backbone, make_bank(tiny_backbone))


def test_without_the_default_model_there_is_no_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> None:
        raise InputError("type pip install")

    monkeypatch.setattr("s3_retriever.fitting.teacher.Backbone.load", missing)
    with pytest.warns(UserWarning, match="type pip install"):
        assert default_teacher() is None
