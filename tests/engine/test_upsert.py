"""Documents in the place of others with the same ids: read where the text is new, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from random_bank import make_bank
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.engine import index as engine
from s3_retriever.errors import InputError, SkippedWarning

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.backbone import Backbone

KEEPER = "The keeper climbed the steps every evening. Ships saw the lamp."
BREAD = "Rye bread needs a sour starter. The dough rests for a night."
DAM = "A dam was finished below the town. Its lake is home to pike."
QUESTION = "Where is the lamp?"


@pytest.fixture
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    documents = [Document("a", KEEPER, {"year": 1}), Document("b", BREAD), Document("c", DAM)]
    return EndogenousIndex.build(
        documents, model=tiny_backbone, bank=make_bank(tiny_backbone), progress=False
    )


def test_it_answers_as_if_built_so(index: EndogenousIndex, tiny_backbone: Backbone) -> None:
    changed = Document("b", "Boats pass through two locks below the lamp.", {"year": 2})
    assert index.upsert([changed, "A new text."]) == ("b", "3")
    assert list(index.documents) == ["a", "c", "b", "3"]
    built = EndogenousIndex.build(
        index.documents.values(), model=tiny_backbone, bank=index.bank, progress=False
    )
    for one, other in zip(index.search(QUESTION), built.search(QUESTION), strict=True):
        assert one.id == other.id
        assert one.score == pytest.approx(other.score, rel=1e-3, abs=1e-4)


def test_a_text_that_is_there_is_not_read_again(
    index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    scan = engine.scan

    def watched(backbone, bank, documents, *rest, **more):  # type: ignore[no-untyped-def]
        read.append([document.id for document in documents])
        return scan(backbone, bank, documents, *rest, **more)

    monkeypatch.setattr(engine, "scan", watched)
    before = index.documents
    same, moved = Document("a", KEEPER, {"year": 1}), Document("c", DAM, {"year": 3})
    tokens = index.stats.tokens
    assert index.upsert([same, moved, Document("d", BREAD)]) == ("a", "c", "d")
    assert read == [["d"]]
    assert index.documents["a"] is before["a"]
    assert index.documents["c"].metadata == {"year": 3}
    assert {span.document_id for span in index.search(QUESTION, filter={"year": 3})} == {"c"}
    assert index.stats.tokens > tokens
    corpus = index._corpus
    index.upsert([same, moved])
    assert index._corpus is corpus
    assert index.upsert([]) == ()


def test_where_one_is_wrong_nothing_changes(
    index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(index.documents)
    with pytest.raises(InputError, match="duplicate document id 'a'"):
        index.upsert([Document("a", DAM), Document("a", BREAD)])
    with pytest.raises(InputError, match="empty or only white space"):
        index.upsert([Document("a", DAM), " "])

    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(engine, "scan", failing)
    with pytest.raises(RuntimeError):
        index.upsert([Document("a", KEEPER, {"year": 9}), Document("b", DAM)])
    assert dict(index.documents) == before
    monkeypatch.undo()
    with pytest.warns(SkippedWarning):
        assert index.upsert([Document("a", DAM), " "], on_error="skip") == ("a",)
    assert index.documents["a"].text == DAM


def test_what_was_replaced_is_saved(
    index: EndogenousIndex, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    index.save(tmp_path / "index")
    index.upsert([Document("a", KEEPER, {"year": 2}), Document("b", DAM)])
    index.save(tmp_path / "index")
    loaded = EndogenousIndex.load(tmp_path / "index", model=tiny_backbone)
    assert dict(loaded.documents) == dict(index.documents)
    assert loaded.search(QUESTION) == index.search(QUESTION)
    loaded.upsert([Document("a", KEEPER, {"year": 3})])
    loaded.save(tmp_path / "index")
    again = EndogenousIndex.load(tmp_path / "index", model=tiny_backbone)
    assert again.documents["a"].metadata == {"year": 3}
