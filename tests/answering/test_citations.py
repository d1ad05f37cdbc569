"""Which span a sentence of an answer rests on."""

from __future__ import annotations

from s3_retriever.answering.citations import Citation, Citing
from s3_retriever.documents import Span

TEXTS = (
    "The lamp stands forty-two metres above the sea.",
    "The last keeper, Tomas Ferreira, left the tower in 1961.",
    "The last keeper, Tomas Ferreira, was fond of bees.",
)
SPANS = tuple(Span("d", 0, len(t), t, float(n), {}, 9) for n, t in enumerate(TEXTS))
ANSWER = "Tomas Ferreira left the tower in 1961. I like tea very much. The lamp: 42 metres [1]. Bye"


def cited(pieces, spans=SPANS):
    citing = Citing(spans)
    found = [citation for piece in pieces for citation in citing.add(piece)]
    return found + citing.rest()


def test_a_sentence_is_cited_by_its_words_or_by_the_number_in_it():
    first, second = cited([ANSWER])
    end = ANSWER.index(" I like")
    assert first == Citation(0, end, 2, False)
    assert ANSWER[second.start : second.end] == "[1]" and second[2:] == (1, True)


def test_pieces_make_no_difference():
    whole = cited([ANSWER])
    for size in (1, 2, 5, 17):
        pieces = [ANSWER[n : n + size] for n in range(0, len(ANSWER), size)]
        assert cited(pieces) == whole


def test_a_citation_comes_as_soon_as_its_sentence_is_complete():
    citing = Citing(SPANS)
    assert citing.add("Tomas Ferreira left the tower in 1961.") == []
    assert [citation.number for citation in citing.add(" I like tea very much.")] == [2]


def test_of_equals_the_best_span_is_cited():
    (found,) = cited(["The last keeper was Tomas Ferreira."])
    assert found.number == 3


def test_what_no_span_holds_is_not_cited():
    assert cited(["Bees are kept in the valley of Halm [7]."]) == []
    assert cited(["It was him."]) == [] and cited(["Anything."], ()) == [] and cited([]) == []
