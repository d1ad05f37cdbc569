"""The labelled sets in several languages: the same questions, whose evidence is whole sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever.labelled.sets import load_set
from s3_retriever.text.languages import in_latin_letters, language_of

SETS = sorted((Path(__file__).parents[2] / "benchmarks/data/languages").iterdir())
LATIN = {"english", "german"}


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_each_language_has_the_same_questions(folder: Path) -> None:
    english, own = load_set(folder.parent / "english"), load_set(folder)
    kinds = [question.kind for question in own.questions]
    assert kinds == [question.kind for question in english.questions]
    texts = {document.id: document.text for document in own.documents}
    for question in own.questions:
        assert question.evidence and in_latin_letters(question.question) == (folder.name in LATIN)
        for place in question.evidence:
            assert texts[place.document_id][place.start : place.end][-1] in ".。।"
    for document in own.documents:
        assert language_of(document.text) == ("german" if folder.name == "german" else "english")
