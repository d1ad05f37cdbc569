"""A question that shares no word with the text is ranked by the model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from random_bank import make_bank
from s3_retriever.config import ScanConfig, SearchConfig
from s3_retriever.engine.corpus import indexed_text
from s3_retriever.reading.questions import read_questions
from s3_retriever.reading.scan import scan
from s3_retriever.searching.scorer import Asked
from s3_retriever.searching.searcher import Searcher
from s3_retriever.text.words import asked_words
from small_corpus import DOCUMENTS

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.searching.fusion import Scores

ASKED = ("Which glacier did huskies cross?", "谁养蜜蜂?", "Кто держит пчёл?", "What is it?")
NO_WORDS = {"bm25": 0.0, "whole": 0.0, "place": 0.0}


@pytest.mark.parametrize("count", [1, len(DOCUMENTS)])
@pytest.mark.parametrize("question", ASKED)
def test_the_order_is_that_of_the_model(tiny_backbone: Backbone, question: str, count: int) -> None:
    bank, documents = make_bank(tiny_backbone), DOCUMENTS[:count]
    rows = {document.id: own for document, own in scan(tiny_backbone, bank, documents)}
    text = indexed_text(documents, [rows[document.id] for document in documents], bank)
    assert not text.word_postings.vocabulary.keys() & {*asked_words(question, ["english"])}
    (read,) = read_questions(tiny_backbone, bank, [question], ScanConfig())
    asked = [Asked(read.whole.text, read.whole.queries)]

    def scored(config: SearchConfig) -> Scores:
        (scores,) = Searcher(text).score(asked, config)
        return scores

    both, model = scored(SearchConfig()), scored(SearchConfig(weighing=NO_WORDS))
    assert not both.parts["bm25"].any() and both.parts["s3"].any()
    assert torch.equal(both.total, model.total)
    if count == 1:
        alone = scored(SearchConfig(bm25=False))
        assert torch.equal(both.total.argsort(stable=True), alone.total.argsort(stable=True))
