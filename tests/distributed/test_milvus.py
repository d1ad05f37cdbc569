"""Spans in the embedded Milvus: they come back by their product with a question."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from s3_retriever import InputError, MissingExtraError
from s3_retriever.distributed.milvus import MilvusSpans
from s3_retriever.engine.corpus import Corpus
from s3_retriever.searching.pooled import PooledSpans, asked_vector, pooled_vectors
from s3_retriever.searching.scorer import Asked
from small_corpus import QUESTIONS, index_by_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_retriever.backbone import Backbone
    from s3_retriever.engine import EndogenousIndex

pytestmark = pytest.mark.slow
pytest.importorskip("milvus_lite")


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    return index_by_words(tiny_backbone)


@pytest.fixture(scope="module")
def spans(
    index: EndogenousIndex, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MilvusSpans]:
    file = tmp_path_factory.mktemp("milvus") / "spans.db"
    written = MilvusSpans(str(file), most=3)
    assert written.write(index.text, characters=200) > 6
    yield written
    written.close()


def asked_of(index: EndogenousIndex, question: str) -> Asked:
    (read,) = index._question_reader().questions([question])
    return Asked(question, read.whole.queries)


def test_spans_come_back_by_their_product(index: EndogenousIndex, spans: MilvusSpans) -> None:
    text = index.text
    pooled = PooledSpans.of(text.passages, 200)
    for question in QUESTIONS:
        asked = asked_of(index, question)
        own = dict(zip(*asked_vector(text.bank, asked.queries), strict=True))
        products = [
            sum(own.get(latent, 0.0) * weight for latent, weight in zip(*row, strict=True))
            for row in pooled_vectors(text, pooled)
        ]
        best = np.argsort(-np.array(products))[:3]
        passages = text.passages
        expected = {
            (
                text.documents[passages.document[pooled.first[n]]].id,
                int(passages.start[pooled.first[n]]),
                int(passages.end[pooled.last[n] - 1]),
            )
            for n in best
        }
        assert {*spans.found(text, asked)} == expected


def test_an_index_scores_what_milvus_names(index: EndogenousIndex, spans: MilvusSpans) -> None:
    text, asked = index.text, [asked_of(index, QUESTIONS[0])]
    named = spans.candidates_of(text).candidates(asked)
    assert 0 < len(named) < len(text.passages) and (np.diff(named) > 0).all()
    index.candidates = spans.candidates_of
    found = index.search(QUESTIONS[0], k=2, second_hop=False)
    index.candidates = None
    tops = {(text.documents[text.passages.document[n]].id, text.passages.start[n]) for n in named}
    assert len(found) == 2
    for span in found:
        assert any(id == span.document_id and span.start <= at < span.end for id, at in tops)


def test_documents_that_are_searched_no_more_are_no_candidates(
    index: EndogenousIndex, spans: MilvusSpans
) -> None:
    searcher = Corpus(index._corpus.parts, index.bank).searcher({"topic": "music"})
    assert searcher is not None
    named = spans.candidates_of(searcher.text).candidates([asked_of(index, QUESTIONS[0])])
    assert 0 < len(named) <= len(searcher.text.passages)


def test_no_milvus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Milvus answers at http://127.0.0.1:9 .*\.db"):
        MilvusSpans("http://127.0.0.1:9", timeout=1)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"pip install 's3-retriever\[milvus\]'"):
        MilvusSpans(str(tmp_path / "spans.db"))
