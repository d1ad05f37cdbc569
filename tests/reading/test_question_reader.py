"""What was read lately is not read again, and is the same."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import torch

from random_bank import make_bank
from s3_retriever.config import ScanConfig
from s3_retriever.reading import question_reader
from s3_retriever.reading.question_reader import QuestionReader
from s3_retriever.reading.recent import Recent
from s3_retriever.text.names import Naming
from small_corpus import QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from s3_retriever.backbone import Backbone
    from s3_retriever.engine import EndogenousIndex


def test_the_latest_are_kept() -> None:
    made: list[str] = []

    def make(keys: Sequence[str]) -> list[str]:
        made.extend(keys)
        return [key.upper() for key in keys]

    recent = Recent(2, make)
    assert recent.get(["a", "b", "a"]) == ["A", "B", "A"]
    assert recent.get(["a"]) == ["A"] and made == ["a", "b"]
    assert recent.get(["c"]) == ["C"]  # b was asked for before a
    assert recent.get(["a", "b"]) == ["A", "B"] and made == ["a", "b", "c", "b"]
    assert recent.get(["d", "e", "f"]) == ["D", "E", "F"] and recent.get([]) == []


def test_what_is_remembered_is_what_was_read(tiny_backbone: Backbone) -> None:
    reader = QuestionReader(tiny_backbone, make_bank(tiny_backbone), ScanConfig())
    first = reader.questions(QUESTIONS)
    assert all(a is b for a, b in zip(first, reader.questions(QUESTIONS), strict=True))
    mixed = reader.questions([QUESTIONS[0], "Is it new?"])
    fresh = QuestionReader(tiny_backbone, reader.bank, reader.config).questions(["Is it new?"])
    torch.testing.assert_close(mixed[1].whole.queries, fresh[0].whole.queries)
    span = ("Who?", "Ada Finch kept it.", Naming())
    (lead,) = reader.leads([span])
    assert reader.leads([span])[0] is lead


def test_an_index_reads_a_question_once(
    tiny_index: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, read = copy(tiny_index), question_reader.read_questions
    asked: list[str] = []

    def counted(
        backbone: Backbone, bank: object, questions: Sequence[str], config: object
    ) -> object:
        asked.extend(questions)
        return read(backbone, bank, questions, config)  # type: ignore[arg-type]

    monkeypatch.setattr(question_reader, "read_questions", counted)
    first, again = (index.search(QUESTIONS[0]).spans for _ in range(2))
    assert first == again and asked == [QUESTIONS[0]]
    index.search_many(QUESTIONS)
    assert sorted(asked) == sorted(QUESTIONS)
    index.scan_config = index.scan_config.replace(preamble="Read this: ")
    index.search(QUESTIONS[0])
    assert len(asked) == len(QUESTIONS) + 1
