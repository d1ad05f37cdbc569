"""A question by key finds its row first, and the row tells the names of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_tables import FORMATS, made_tables
from table_questions import measured, percent, written

from random_bank import make_bank
from s3_retriever.answering.prompt import distinct, passages
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from small_corpus import BY_WORDS

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

TOWNS = "Town,Mayor\nHalm,Finn\nSenna,Mona\nOtter,Nils\n"
OTHERS = "Town,Baker\nHalm,Olga\nSenna,Ravi\nOtter,Pia\n"


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    documents = [
        written(own, format, 1, 0).document for format in FORMATS for own in made_tables(40, 5)
    ]
    bank = make_bank(tiny_backbone)
    return EndogenousIndex.build(
        documents, model=tiny_backbone, bank=bank, search=BY_WORDS, progress=False
    )


@pytest.fixture(scope="module")
def towns(tiny_backbone: Backbone) -> EndogenousIndex:
    documents = [Document("mayors.csv", TOWNS), Document("bakers.csv", OTHERS)]
    bank = make_bank(tiny_backbone)
    return EndogenousIndex.build(
        documents, model=tiny_backbone, bank=bank, search=BY_WORDS, progress=False
    )


@pytest.mark.parametrize("format", FORMATS)
def test_words_find_the_row(index: EndogenousIndex, format: str) -> None:
    tables = [written(own, format, 6, 0) for own in made_tables(40, 5)]
    found = [one for own in tables for one in measured(index, [own], 5, **own.document.metadata)]
    figures = percent(found)
    assert figures["row"] >= 90 and figures["top"] >= 90
    assert figures["header"] == 100 and figures["inside"] == 0


def test_a_span_tells_its_header(towns: EndogenousIndex) -> None:
    spans = towns.search("mayor of Senna", k=2).spans
    assert (spans[0].text, spans[0].header) == ("Senna,Mona", "Town,Mayor")
    assert all(towns.documents[s.document_id].text[s.start : s.end] == s.text for s in spans)
    assert "Town,Mayor\n    Senna,Mona" in str(towns.search("mayor of Senna", k=1))


def test_the_header_tells_tables_apart(towns: EndogenousIndex) -> None:
    for asked, text in (("mayor of Halm", "Halm,Finn"), ("baker of Halm", "Halm,Olga")):
        assert towns.search(asked, k=1).spans[0].text == text


def test_the_prompt_shows_a_header_once_above_its_rows(towns: EndogenousIndex) -> None:
    spans = towns.search("mayor of Senna and Otter", k=5, order="document").spans
    rows = [span for span in spans if span.document_id == "mayors.csv" and span.header]
    shown = passages(rows)
    assert len(rows) > 1 and shown.count("Town,Mayor") == 1
    assert shown.index("Town,Mayor") < shown.index(rows[0].text)
    assert passages([rows[0], spans[0], rows[1]]).count("Town,Mayor") >= 1


def test_the_same_row_of_two_tables_is_read_twice(tiny_backbone: Backbone) -> None:
    documents = [Document("a", TOWNS), Document("b", TOWNS.replace("Mayor", "Baker"))]
    index = EndogenousIndex.build(
        documents, model=tiny_backbone, bank=make_bank(tiny_backbone), progress=False
    )
    spans = index.search("Senna", k=10).spans
    kept = [span.header for span in distinct(spans) if span.text == "Senna,Mona"]
    assert sorted(kept) == ["Town,Baker", "Town,Mayor"]


def test_a_saved_index_finds_the_same(towns: EndogenousIndex, tmp_path, tiny_backbone) -> None:
    towns.save(tmp_path / "index")
    again = EndogenousIndex.load(tmp_path / "index", model=tiny_backbone)
    asked = "baker of Otter"
    assert again.search(asked).spans == towns.search(asked).spans
