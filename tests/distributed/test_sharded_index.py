"""What several shards find together is what one index of their documents finds."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from langchain_s3_retriever import EndogenousRetriever as LangChainRetriever
from llama_index.retrievers.s3 import EndogenousRetriever as LlamaIndexRetriever
from s3_retriever import InputError, ShardedIndex
from s3_retriever.distributed.shard import Shard
from s3_retriever.searching import places, searcher
from s3_retriever.storage import catalogue, files
from shard_samples import DOCUMENTS, QUESTIONS, TABLE, one_index, read_all, repeated, split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_retriever.backbone import Backbone
    from s3_retriever.distributed.shard_run import Step
    from s3_retriever.engine import EndogenousIndex
    from s3_retriever.engine.results import SearchResult


@pytest.fixture(scope="module", autouse=True)
def fast() -> Iterator[None]:
    """Every text is large, and few of its sentences are worth reading their codes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.os, "fsync", lambda _: None)
        patch.setattr(catalogue, "SYNCHRONOUS", "OFF")
        patch.setattr(searcher, "FAST_FROM", 0)
        patch.setattr(searcher, "CANDIDATES", 40)
        patch.setattr(searcher, "LEAD_SENTENCES", 25)
        patch.setattr(places, "SENTENCES", 10)
        yield


class Both(NamedTuple):
    many: ShardedIndex
    one: EndogenousIndex


@pytest.fixture(scope="module")
def whole(fast: None, tiny_backbone: Backbone) -> EndogenousIndex:
    return read_all(tiny_backbone)


@pytest.fixture(scope="module")
def both(whole: EndogenousIndex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    paths = split(whole, tmp_path_factory.mktemp("split"), shards=3, seed=1)
    with ShardedIndex.open(paths, model=whole.backbone) as many:
        yield Both(many, one_index(whole.backbone, paths))


def same(found: SearchResult, expected: SearchResult) -> None:
    assert found.question == expected.question
    assert [span.id for span in found] == [span.id for span in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.tokens, one.header) == (other.text, other.tokens, other.header)
        assert one.score == pytest.approx(other.score, rel=1e-3, abs=2e-3)
        assert one.parts == pytest.approx(other.parts, rel=1e-3, abs=2e-3)
        assert one.relevance == pytest.approx(other.relevance, rel=1e-4)
    assert {**found.sources} == {**expected.sources}


CASES: list[dict[str, Any]] = [
    {},
    {"second_hop": False},
    {"filter": {"kind": "topic"}},
    {"filter": lambda metadata: metadata["size"] < 2000, "k": 3},
    {"bm25": False},
    {"scoring": "meaning", "bm25": False},
    {"scoring": "coactivation"},
    {"token_budget": 230, "bias_tokens": 60, "order": "document"},
    {"min_relevance": 0.03, "k": 20},
    {"weighing": {"others": {"meaning": 0.5}, "hop_least": 1e-6}},
]


@pytest.mark.parametrize("given", CASES, ids=lambda given: ",".join(given) or "default")
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "fast"])
def test_what_shards_find_is_what_one_index_finds(
    exact: bool, given: dict[str, Any], both: Both
) -> None:
    found = both.many.search_many(QUESTIONS[:3], exact=exact, **given)
    expected = both.one.search_many(QUESTIONS[:3], exact=exact, **given)
    for own, other in zip(found, expected, strict=True):
        same(own, other)
    assert any(len(result) for result in expected)


@pytest.mark.parametrize(("shards", "seed"), [(2, 2), (5, 3), (len(DOCUMENTS), 4)])
def test_however_documents_are_dealt(
    shards: int, seed: int, whole: EndogenousIndex, tmp_path: Path
) -> None:
    paths = split(whole, tmp_path, shards, seed)
    one = one_index(whole.backbone, paths)
    with ShardedIndex.open(paths, model=whole.backbone) as many:
        for question in QUESTIONS[2:]:
            same(many.search(question), one.search(question))


def test_shards_that_hold_nothing_that_passes_are_left_out(both: Both) -> None:
    few: dict[str, Any] = {"filter": {"kind": "other"}, "k": 4}
    only: dict[str, Any] = {"filter": lambda metadata: metadata["size"] == len(TABLE), "k": 2}
    for given in (few, only):
        same(both.many.search(QUESTIONS[2], **given), both.one.search(QUESTIONS[2], **given))
    nothing = both.many.search(QUESTIONS[0], filter={"kind": "none"})
    assert nothing.spans == () and dict(nothing.sources) == {}


def test_documents_are_looked_up_where_they_are(both: Both) -> None:
    assert dict(both.many.documents) == dict(both.one.documents)
    assert len(both.many) == len(both.one) == len(both.many.documents)
    assert "nowhere" not in both.many.documents


def test_threads_may_search_at_once(both: Both) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(both.many.search, QUESTIONS)]
    for own, other in zip(found, both.one.search_many(QUESTIONS), strict=True):
        same(own, other)


def test_the_same_model_answers(both: Both, few_words: None) -> None:
    answers = [it.answer(QUESTIONS[0], max_new_tokens=4) for it in both]
    assert answers[0].text == answers[1].text
    assert [span.id for span in answers[0].spans] == [span.id for span in answers[1].spans]


def test_both_adapters_take_shards(both: Both) -> None:
    for retriever in (LangChainRetriever, LlamaIndexRetriever):
        one, many = (retriever(index=it) for it in (both.one, both.many))
        assert texts_of(many) == texts_of(one) != []
    with pytest.raises(InputError, match="does not change; open the folder of one shard"):
        LangChainRetriever(index=both.many).add_texts(["A new one."])


def texts_of(retriever: Any) -> list[str]:
    if isinstance(retriever, LangChainRetriever):
        return [found.page_content for found in retriever.invoke(QUESTIONS[0])]
    return [found.node.get_content() for found in retriever.retrieve(QUESTIONS[0])]


def test_what_moves_grows_with_candidates_and_not_with_the_text(
    whole: EndogenousIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    begin, go_on = Shard.begin, Shard.go_on

    def counted(step: Step) -> Step:
        moved.append(len(pickle.dumps(step)))
        return step

    monkeypatch.setattr(Shard, "begin", lambda *given: counted(begin(*given)))
    monkeypatch.setattr(Shard, "go_on", lambda *given: counted(go_on(*given)))
    found = []
    for times in (1, 4):
        paths = split(repeated(whole, times), tmp_path / str(times), shards=2, seed=6)
        with ShardedIndex.open(paths, model=whole.backbone) as many:
            many.search(QUESTIONS[0], exact=False)
            moved.clear()
            many.search(QUESTIONS[0], exact=False)
        found.append((len(moved), sum(moved)))
    (rounds, size), (rounds_of_more, size_of_more) = found
    assert rounds_of_more == rounds
    assert size_of_more < 1.3 * size
