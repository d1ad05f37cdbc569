"""What the words of a question attend to, as an index tells it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from s3_retriever.codec import JoinedCodes
from s3_retriever.codec.codes import ARRAYS, TokenCodes
from s3_retriever.documents import Document, Span
from s3_retriever.errors import InputError
from s3_retriever.searching.heat import HeatMap
from small_corpus import QUESTIONS, SOURCES

WHOLE = [Span(name, 0, len(text), text, 0.0, {}, 1) for name, text in SOURCES.items()]


def test_every_word_spends_its_attention_on_the_whole_index(tiny_index):
    asked = QUESTIONS[0]
    heat = tiny_index.heat(asked, WHOLE)
    assert [asked[start:end] for start, end in heat.words] == asked.split()
    ends = tiny_index.backbone.text.encode(asked).ends
    stops = [0, *(end for _, end in heat.words)]
    tokens = [sum((before < ends) & (ends <= end)) for before, end in pairwise(stops)]
    assert sum(tokens) == len(ends)
    spent = sum(place.shares.sum(0) for place in heat.places)
    np.testing.assert_allclose(spent, tokens, rtol=1e-3)


def test_the_heat_of_a_span_is_that_of_its_characters(tiny_index):
    spans = tiny_index.search(QUESTIONS[1], k=2).spans
    heat = tiny_index.heat(QUESTIONS[1], spans)
    for span, place in zip(spans, heat.places, strict=True):
        assert place.ends[-1] == len(span.text)
        assert place.shares.shape == (len(place.ends), len(heat.words))
        assert (place.shares > 0).all()


@pytest.mark.parametrize(
    ("asked", "words"),
    [("  two   words ", ["two", "words"]), ("灯台", ["灯", "台"]), ("a 🗼", ["a", "🗼"])],
)
def test_words_are_found_in_any_writing(tiny_index, asked, words):
    heat = tiny_index.heat(asked, WHOLE[:1])
    assert [asked[start:end] for start, end in heat.words if start < end] == words


def test_a_place_that_is_not_there_is_refused(tiny_index):
    for place in (Span("nobody", 0, 3, "abc", 0, {}, 1), Span("bread", 5, 10**6, "", 0, {}, 1)):
        with pytest.raises(InputError, match="no place"):
            tiny_index.heat(QUESTIONS[0], [place])


def test_a_question_is_checked_without_a_search(tiny_index):
    tiny_index.check(QUESTIONS[0], {"topic": "sea"})
    with pytest.raises(InputError, match="empty"):
        tiny_index.check("  ")
    with pytest.raises(InputError, match="unknown operator 'foo'"):
        tiny_index.check(QUESTIONS[0], {"topic": {"foo": 1}})


def test_a_place_without_tokens_has_no_heat(tiny_index):
    documents = [Document(name, text) for name, text in SOURCES.items()]
    codes = [tiny_index._corpus.codes[name] for name in SOURCES]
    short = TokenCodes(**{name: getattr(codes[0], name)[:3] for name in ARRAYS})
    heat_map = HeatMap(documents, JoinedCodes([short, *codes[1:]]), tiny_index.bank)
    text = SOURCES["lighthouse"]
    queries = tiny_index._question_reader().questions([QUESTIONS[0]])[0].whole.queries
    (heat,) = heat_map.of(queries, [Span("lighthouse", 90, 99, text[90:99], 0.0, {}, 0)])
    assert heat.shares.shape == (0, len(queries)) and len(heat.ends) == len(heat.mass) == 0
