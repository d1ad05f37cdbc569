"""Settings of a search: the index's own, those of a call, and how a call takes one back."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, get_type_hints

import pytest

from random_bank import make_bank
from s3_retriever import UNSET, EndogenousIndex, SearchConfig, Weighing
from s3_retriever.config import AnswerConfig, AnswerSettings, ScanConfig, SearchSettings
from s3_retriever.errors import InputError
from small_corpus import QUESTIONS, SOURCES

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

SCAN = ScanConfig(chunk_tokens=64, overlap_tokens=8, batch_tokens=512)
QUESTION = QUESTIONS[0]


@pytest.fixture(scope="module")
def index(tiny_backbone: Backbone) -> EndogenousIndex:
    """An index with a budget and a weighing of its own."""
    return EndogenousIndex.build(
        SOURCES.values(),
        model=tiny_backbone,
        bank=make_bank(tiny_backbone),
        scan=SCAN,
        search={"k": 3, "token_budget": 30, "weighing": {"bm25": 0.1}},
        progress=False,
    )


def tokens(found: object) -> int:
    return sum(span.tokens for span in found)  # type: ignore[attr-defined]


def test_none_is_what_the_index_has(index: EndogenousIndex) -> None:
    assert tokens(index.search(QUESTION)) == tokens(index.search(QUESTION, token_budget=None)) == 30


def test_a_call_takes_back_what_the_index_has(index: EndogenousIndex) -> None:
    free = index.search(QUESTION, token_budget=UNSET)
    assert len(free) == 3 and tokens(free) > 30
    assert 3 < len(index.search(QUESTION, k=UNSET, token_budget=UNSET)) <= SearchConfig().k
    assert index.search(QUESTION, weighing=UNSET) == index.search(QUESTION, weighing=Weighing())
    assert index.config.token_budget == 30


def test_settings_in_place_of_the_indexs_own(index: EndogenousIndex) -> None:
    config = SearchConfig(k=4)
    assert len(index.search(QUESTION, config=config)) == 4
    assert len(index.search(QUESTION, config=config, k=2)) == 2


def test_a_mapping_of_constants_keeps_the_others(index: EndogenousIndex) -> None:
    changed = index.config.replace(weighing={"reach": 90.0})
    assert changed.weighing == Weighing(bm25=0.1, reach=90.0)


def test_an_answers_settings_are_taken_back_as_well(index: EndogenousIndex) -> None:
    index.answer_config = AnswerConfig(k=1, max_new_tokens=1)
    assert len(index.answer(QUESTION).spans) == 1
    assert len(index.answer(QUESTION, k=UNSET).spans) > 1


@pytest.mark.parametrize("settings", [{"tokn_budget": 3}, {"system": "x"}])
def test_an_unknown_setting_is_named(settings: dict[str, object], index: EndogenousIndex) -> None:
    with pytest.raises(InputError, match=f"no setting {next(iter(settings))!r}"):
        index.search(QUESTION, **settings)  # type: ignore[arg-type]


def test_the_keyword_arguments_are_the_fields() -> None:
    assert set(get_type_hints(SearchSettings)) == set(SearchConfig.model_fields)
    assert set(get_type_hints(AnswerSettings)) == set(AnswerConfig.model_fields)


def test_there_is_one_unset() -> None:
    assert pickle.loads(pickle.dumps(UNSET)) is copy.deepcopy(UNSET) is UNSET
    assert repr(UNSET) == "UNSET"
