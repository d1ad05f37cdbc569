"""What a second hop adds: never more than the best direct answer gains."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
import torch

from passage_samples import lexical_text, some_passages
from s3_retriever.config import Weighing
from s3_retriever.documents import Document
from s3_retriever.searching.bm25 import WordPostings
from s3_retriever.searching.fusion import Scores
from s3_retriever.searching.passages import cut_passages
from s3_retriever.searching.scorer import IndexedText
from s3_retriever.searching.second_hop import HopSource, hop_sources, with_hop
from s3_retriever.searching.tables import OwnTables
from s3_retriever.text.names import Naming, new_names

PASSAGES = some_passages([[100] * 3, [100] * 2, [100] * 4])
POSTINGS = WordPostings.of([[]] * len(PASSAGES))
TEXT = lexical_text(PASSAGES, POSTINGS)
WEIGHING = Weighing(hop=0.8, hop_temperature=2.0)


def scores(values: Any, weighing: Weighing = WEIGHING) -> Scores:
    rows = torch.as_tensor(values, dtype=torch.float)
    return Scores(np.arange(len(rows)), {"s3": rows}, weighing)


def source(sentence: int, score: float) -> HopSource:
    home = PASSAGES.of_document(int(PASSAGES.document[sentence]))
    return HopSource(score, home, "", Naming())


def test_a_sentence_has_the_best_of_what_leads_to_it_and_of_what_it_says_itself() -> None:
    asked = scores([4.0, 0, 0, 2, 0, 0, 0, 0, 0])
    sources = [source(0, 4.0), source(3, 2.0)]
    led = [scores([9.0, 0, 0, 0, 0, 3, 1, 0, 0]), scores([0.0, 5, 0, 0, 0, 0, 6, 0, 0])]
    both = with_hop(TEXT, asked, sources, led)
    near, far = exp(-1), exp(-2)
    direct = [9, 9 * far, 9 * far, 9 * near, *[9 * far] * 5]
    expected = [
        max(*values)
        for values in zip(
            direct,
            [0, 0, 0, 0, 0, 3, 1, 0, 0],  # what leads on leads to no sentence of its own document
            [0, 5 * near, 0, 0, 0, 0, 6 * near, 0, 0],
            strict=True,
        )
    ]
    assert both.parts["hop"].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_is_led_to_passes_the_best_direct_answer(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    asked = scores(3 * torch.randn(9, generator=random))
    sources = [source(n, float(asked.total[n])) for n in (1, 4, 7)]
    led = [scores(9 * torch.randn(9, generator=random)) for _ in sources]
    both = with_hop(TEXT, asked, sources, led)
    assert both.total.argmax() == asked.total.argmax()


def test_a_direct_answer_that_names_nothing_stays_ahead_of_two_that_share_a_name() -> None:
    """Two mentions of one surname lead to each other, and to each other alone."""
    asked = scores([3.0, 0, 0, 2.8, 0, 2.6, 0, 0, 0])
    mentions = [source(3, 2.8), source(5, 2.6)]
    led = [scores([0.0, 0, 0, 0, 0, 6, 0, 0, 0]), scores([0.0, 0, 0, 6, 0, 0, 0, 0, 0])]
    both = with_hop(TEXT, asked, mentions, led)
    assert both.total.argsort(descending=True)[:3].tolist() == [0, 3, 5]


def test_without_a_source_nothing_is_added() -> None:
    asked = scores([1.0] * 9)
    assert with_hop(TEXT, asked, [], []) is asked


def test_what_was_no_candidate_may_be_led_to() -> None:
    asked = Scores(np.array([0, 3]), {"s3": torch.tensor([2.0, 1.0])}, WEIGHING)
    led = Scores(np.array([6]), {"s3": torch.tensor([5.0])}, WEIGHING)
    both = with_hop(TEXT, asked, [source(0, 2.0)], [led])
    assert both.candidates.tolist() == [0, 3, 6]
    assert both.parts["hop"].tolist() == pytest.approx([5, 5 * exp(-0.5), 5], rel=1e-5)


def test_what_leads_nowhere_changes_nothing() -> None:
    asked = scores([3.0, 0, 0, 2, 0, 1, 0, 0, 0])
    nothing = Scores(np.arange(0), {"s3": torch.zeros(0)}, WEIGHING)
    both = with_hop(TEXT, asked, [source(0, 3.0)], [nothing])
    assert both.parts["hop"].tolist() == [0.0] * 9 and torch.equal(both.total, asked.total)


def test_spans_of_little_weight_do_not_lead_on() -> None:
    asked = scores([9.0, 0, 0, 5.5, 0, 4.0, 0, 0, 0], Weighing(hop_temperature=2, hop_least=0.1))
    found = hop_sources(TEXT, asked)
    assert [(own.home.start, own.score) for own in found] == [(0, 9.0), (3, 5.5)]
    assert exp((5.5 - 9) / 2) > 0.1 > exp((4 - 9) / 2)


def test_of_one_document_nothing_leads_on() -> None:
    alone = lexical_text(some_passages([[100] * 9]), POSTINGS)
    assert hop_sources(alone, scores([1.0] * 9)) == []


GERMAN = (
    "Die Bucht hat einen Leuchtturm, und der Wärter dort war der alte Finch aus dem Dorf.",
    "Der alte Finch war in der Stadt Halm geboren und kam mit dem Boot in das Dorf.",
    "Der Steinbruch in dem Dorf wurde von der Stadt Brask gekauft und ist noch in Betrieb.",
    "Das Dorf hat eine Mühle, und der Müller ist dort nicht mehr der alte Hauser.",
)
CHINESE = (
    "海湾有一座灯塔,守灯人是芬奇。",
    "芬奇出生在哈尔姆。",
    "采石场有一座工厂。",
    "磨坊有一座仓库。",
    "河边有一座桥。",
)


@pytest.mark.parametrize(
    ("texts", "question", "names"),
    [
        (GERMAN, "Wo wurde der Wärter vom Leuchtturm geboren?", {"Finch"}),
        (CHINESE, "守灯人出生在哪里?", {"芬奇"}),
    ],
)
def test_where_capitals_do_not_tell_rare_words_lead_on(
    texts: tuple[str, ...], question: str, names: set[str]
) -> None:
    documents = tuple(Document(str(number), own) for number, own in enumerate(texts))
    passages = cut_passages(documents, [np.array([len(own)], np.int32) for own in texts])
    tables = OwnTables(documents, None, None, passages=passages)  # type: ignore[arg-type]
    text = IndexedText(documents, passages, None, None, tables)  # type: ignore[arg-type]
    values = torch.zeros(len(passages))
    values[0] = 9
    (first, *_) = hop_sources(text, scores(values))
    assert first.text.strip() == texts[0]
    whole = f"{question} {first.text}"
    found = {whole[a:b] for a, b in new_names(question, whole, first.naming)}
    assert found == names
