"""Shards that do not fit each other, or do not answer."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from random_bank import make_bank
from s3_retriever import (
    EndogenousIndex,
    IndexFileError,
    InputError,
    ModelMismatchError,
    ShardedIndex,
    ShardError,
)
from s3_retriever.distributed import shard_search
from s3_retriever.distributed.shard import Shard
from small_corpus import DOCUMENTS, QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_retriever.backbone import Backbone


@pytest.fixture(scope="module")
def whole(tiny_backbone: Backbone) -> EndogenousIndex:
    return EndogenousIndex.build(
        DOCUMENTS, model=tiny_backbone, bank=make_bank(tiny_backbone), progress=False
    )


def without(index: EndogenousIndex, *ids: str) -> EndogenousIndex:
    own = copy(index)
    own.delete(ids)
    return own


@pytest.fixture(scope="module")
def paths(whole: EndogenousIndex, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    without(whole, "river", "violin").save(folder / "one")
    without(whole, "lighthouse", "bread").save(folder / "two")
    return [folder / "one", folder / "two"]


def opened(paths: Any, whole: EndogenousIndex, **given: Any) -> ShardedIndex:
    return ShardedIndex.open(paths, model=whole.backbone, **given)


def test_shards_that_are_no_index_or_none(
    paths: list[Path], whole: EndogenousIndex, tmp_path: Path
) -> None:
    with pytest.raises(IndexFileError, match="nowhere"):
        opened([paths[0], tmp_path / "nowhere"], whole)
    with pytest.raises(InputError, match="as a list"):
        opened(str(paths[0]), whole)
    with pytest.raises(InputError, match="as a list"):
        opened([], whole)
    with pytest.raises(InputError, match=r"one' is named twice"):
        opened([paths[0], paths[1], paths[0]], whole)


def test_settings_that_cannot_be(paths: list[Path], whole: EndogenousIndex) -> None:
    with pytest.raises(InputError, match='"raise" or "tell"'):
        opened(paths, whole, on_missing="ignore")
    with pytest.raises(InputError, match='address="local" as well'):
        opened(paths, whole, options={"num_cpus": 1})
    with pytest.raises(InputError, match="2 shards but 1 options"):
        opened(paths, whole, address="local", options=[{}])


def test_an_id_in_two_shards_is_named(
    paths: list[Path], whole: EndogenousIndex, tmp_path: Path
) -> None:
    without(whole, "lighthouse").save(tmp_path / "three")
    with pytest.raises(InputError, match=r"two and .*three both hold the document 'river', 'v"):
        opened([paths[1], tmp_path / "three"], whole)


def test_shards_of_two_banks_or_another_model(
    paths: list[Path],
    whole: EndogenousIndex,
    tiny_backbone: Backbone,
    tmp_path: Path,
) -> None:
    bank = make_bank(tiny_backbone, seed=1)
    other = EndogenousIndex.build(["Another."], model=tiny_backbone, bank=bank, progress=False)
    other.save(tmp_path / "other")
    with pytest.raises(InputError, match=r"one and .*other were made with two banks"):
        opened([paths[0], tmp_path / "other"], whole)
    named = replace(bank, model_name="big")
    EndogenousIndex.build(["One."], model=tiny_backbone, bank=named, progress=False).save(
        tmp_path / "big"
    )
    with pytest.raises(ModelMismatchError, match=r"'tiny' and .*'big'"):
        opened([paths[0], tmp_path / "big"], whole)


def dies(_: Shard, *given: Any) -> Any:
    raise OSError("the machine is on fire. Call somebody")


def sleeps(_: Shard, *given: Any) -> Any:
    time.sleep(2)


def at(path: Path, method: str, bad: Callable[..., Any]) -> Callable[..., Any]:
    """A method of shards that is bad in one of them."""
    good = getattr(Shard, method)

    def called(shard: Shard, *given: Any) -> Any:
        return (bad if shard._path == str(path) else good)(shard, *given)

    return called


@pytest.mark.parametrize("method", ["choose", "begin", "go_on"])
def test_a_shard_that_does_not_answer_is_named(
    method: str, paths: list[Path], whole: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(paths, whole) as many, opened(paths, whole, on_missing="tell") as told:
        monkeypatch.setattr(Shard, method, at(paths[1], method, dies))
        with pytest.raises(ShardError, match=r"no answer from .*two \(the machine is on fire"):
            many.search(QUESTIONS[0])
        found = told.search(QUESTIONS[0])
        expected = without(whole, "river", "violin").search(QUESTIONS[0])
        assert found.missing == (str(paths[1]),) and expected.missing == ()
        assert [(s.id, s.score) for s in found] == [(s.id, s.score) for s in expected]
        assert {*found.sources} == {span.document_id for span in expected}
        monkeypatch.undo()
        assert told.search(QUESTIONS[0]).missing == ()
        again = many.search(QUESTIONS[0])
        assert [s.id for s in again] == [s.id for s in whole.search(QUESTIONS[0])]


def test_a_shard_that_is_too_slow_does_not_answer(
    paths: list[Path], whole: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(paths, whole, on_missing="tell", timeout=1.0) as told:
        monkeypatch.setattr(Shard, "choose", at(paths[0], "choose", sleeps))
        found = told.search(QUESTIONS[2])
    assert found.missing == (str(paths[0]),)
    assert {span.document_id for span in found} <= {"river", "violin"}


def test_where_no_shard_answers_there_is_no_result(
    paths: list[Path], whole: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(paths, whole, on_missing="tell") as told:
        monkeypatch.setattr(Shard, "choose", dies)
        with pytest.raises(ShardError, match=r"no answer from .*one .*; .*two "):
            told.search(QUESTIONS[0])


def test_a_shard_that_was_started_anew_has_no_search(
    paths: list[Path], whole: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgets(shard: Shard, *given: Any) -> Any:
        shard.stop(given[0])
        return go_on(shard, *given)

    go_on = Shard.go_on
    with opened(paths, whole) as many:
        monkeypatch.setattr(Shard, "go_on", at(paths[1], "go_on", forgets))
        with pytest.raises(ShardError, match=r"two \(.*opened anew in the middle of a search"):
            many.search(QUESTIONS[0])


def test_what_is_wrong_with_a_call_is_told_as_ever(
    paths: list[Path], whole: EndogenousIndex
) -> None:
    with opened(paths, whole, on_missing="tell") as told:
        with pytest.raises(InputError, match="unknown operator"):
            told.search(QUESTIONS[0], filter={"year": {"above": 3}})
        with pytest.raises(InputError, match="cannot score meaning"):
            told.search(QUESTIONS[0], scoring="meaning")
        with pytest.raises(InputError, match="no relevance can be told"):
            told.search(QUESTIONS[0], min_relevance=0.5)
        assert told.search_many([]) == []
        assert not told._shards._shards[str(paths[0])]._runs


def test_shards_that_ask_different_things_are_of_two_releases(
    paths: list[Path], whole: EndogenousIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(paths, whole) as many:
        monkeypatch.setattr(
            shard_search, "_asks", lambda name, step: {name: None} if step.asks else {}
        )
        with pytest.raises(ShardError, match="do not ask the same"):
            many.search(QUESTIONS[0])
