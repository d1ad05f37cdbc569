"""The second hop: names in a span, their queries, and what they change in a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from random_bank import HEADS, make_bank
from s3_retriever import EndogenousIndex
from s3_retriever.config import ScanConfig
from s3_retriever.documents import Document
from s3_retriever.reading.leads import read_leads
from s3_retriever.reading.questions import head_queries
from s3_retriever.text.names import Naming, new_names
from small_corpus import SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.documents import Span

QUESTION = "Where was the wife of the keeper of Gull Point born?"
SPAN = "Its keeper Ole Ferreira, 61, kept bees at Gull Point with Ólöf Ferreira."
SCAN = ScanConfig()


def named(question: str, whole: str) -> list[str]:
    return [whole[start:end] for start, end in new_names(question, whole, Naming())]


def test_names_are_capitals_and_numbers_that_the_question_lacks() -> None:
    names = named(QUESTION, f"{QUESTION} {SPAN}")
    assert names == ["Ole", "Ferreira", "61", "Ólöf", "Ferreira"]


@pytest.mark.parametrize(
    "text", ["", "the keeper of gull point", "The. Its! 🗼", "守灯人住在海边", "WIFE born KEEPERS"]
)
def test_a_text_without_new_names(text: str) -> None:
    assert named(QUESTION, f"{QUESTION} {text}") == []


def test_words_with_capitals_are_names_among_letters_without() -> None:
    text = "它由 openai 和 Finch 在 1871 年创办于海边的一座小城之中"
    assert named("谁创办了它", f"谁创办了它 {text}") == ["openai", "Finch", "1871"]
    assert named(QUESTION, f"{QUESTION} openai and Finch") == ["Finch"]


def test_the_tokens_of_names_ask_as_they_stand_behind_the_question(tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    texts = ["the bees", SPAN, f"{SPAN} {SPAN}"]
    spans = [(QUESTION, text, Naming()) for text in texts]
    none, lead, twice = read_leads(tiny_backbone, bank, spans, SCAN)
    assert none.names == () and twice.names == 2 * lead.names
    assert lead.names == ("Ole", "Ferreira", "61", "Ólöf", "Ferreira")
    whole = f"{QUESTION} {SPAN}"
    tokens = tiny_backbone.text.encode(whole)
    (queries,) = head_queries(tiny_backbone, HEADS, [whole], SCAN)
    inside = [
        bool(
            set(range(start, end))
            & {c for place in new_names(QUESTION, whole, Naming()) for c in range(*place)}
        )
        for start, end in zip(tokens.starts, tokens.ends, strict=True)
    ]
    assert 5 <= sum(inside) < len(inside)
    torch.testing.assert_close(lead.queries, queries[torch.tensor(inside)], rtol=1e-3, atol=1e-3)


def test_no_lead_without_names_or_beyond_the_window(tiny_backbone: Backbone) -> None:
    bank = make_bank(tiny_backbone)
    nameless = [(QUESTION, "the bees", Naming()), (QUESTION, " ", Naming())]
    assert [lead.names for lead in read_leads(tiny_backbone, bank, nameless, SCAN)] == [(), ()]
    long = "why " * tiny_backbone.spec.max_positions
    (lead,) = read_leads(tiny_backbone, bank, [(long, SPAN, Naming())], SCAN)
    assert lead.names == () and not len(lead.queries)


HARBOUR = """The light on Gull Point was lit in 1868, after three ships had been lost. Its first \
keeper was Ada Finch, who had learnt the trade from her father.

Coal came by boat twice a year, and the oil for the lamp was carried up by hand.
"""
FINCH = """Born in the town of Halm, Ada Finch went to sea at fourteen. She wrote letters all her \
life, of which some two hundred are kept in the museum there.
"""
QUARRY = """The town of Brask, in which the poet Olen Marr was born, grew around a quarry. Its \
stone was sold to the cities of the coast.
"""
CHAIN = "In which town was the first keeper of the light on Gull Point born?"


@pytest.fixture(scope="module")
def chained(default_backbone: Backbone) -> EndogenousIndex:
    """Two documents that answer together, and others that do not."""
    texts = {"harbour": HARBOUR, "finch": FINCH, "quarry": QUARRY, **SOURCES}
    documents = [Document(name, text, {"name": name}) for name, text in texts.items()]
    return EndogenousIndex.build(documents, model=default_backbone, progress=False)


def margin(spans: Sequence[Span]) -> float:
    """How far the document that answers is before one that says something alike."""
    best = {
        name: max(s.score for s in spans if s.document_id == name) for name in ("finch", "quarry")
    }
    return best["finch"] - best["quarry"]


def place(spans: Sequence[Span], document: str) -> int:
    """Rank of the first span of a document."""
    return [span.document_id for span in spans].index(document)


@pytest.mark.parametrize("bm25", [True, False])
def test_the_second_document_of_a_chain_is_found(chained: EndogenousIndex, bm25: bool) -> None:
    one = chained.search(CHAIN, k=20, bm25=bm25, second_hop=False).spans
    two = chained.search(CHAIN, k=20, bm25=bm25).spans
    assert one[0].document_id == "harbour" and "Ada Finch" in one[0].text

    assert margin(two) > margin(one) + 0.4
    assert place(two, "finch") < place(one, "finch")
    hop = {span.document_id: span.parts["hop"] for span in reversed(two)}
    assert hop["finch"] > max(0.9, hop["quarry"]) and "hop" not in one[0].parts
    assert two[0].id == one[0].id and two[0].parts["hop"] == max(s.parts["hop"] for s in two)
    assert all(span.parts["hop"] == 0 for span in two[1:] if span.document_id == "harbour")


def test_a_corpus_of_one_document_has_no_second_hop(chained: EndogenousIndex) -> None:
    result = chained.search(CHAIN, filter=lambda metadata: metadata["name"] == "harbour")
    assert result.spans and all("hop" not in span.parts for span in result.spans)
