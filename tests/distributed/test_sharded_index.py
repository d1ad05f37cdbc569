"""What several shards find together is what one index of their documents finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from s3_retriever import ShardedIndex
from s3_retriever.searching import searcher
from s3_retriever.storage import catalogue, files
from shard_samples import QUESTIONS, one_index, read_all, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.backbone import Backbone
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
        patch.setattr(searcher, "LEAD_CANDIDATES", 25)
        yield


class Both(NamedTuple):
    many: ShardedIndex
    one: EndogenousIndex


@pytest.fixture(scope="module")
def whole(fast: None, tiny_backbone: Backbone) -> EndogenousIndex:
    return read_all(tiny_backbone)


@pytest.fixture(scope="module", params=[(2, 1), (4, 2)], ids=["2 shards", "4 shards"])
def both(
    request: pytest.FixtureRequest,
    whole: EndogenousIndex,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Both]:
    paths = split(whole, tmp_path_factory.mktemp("split"), *request.param)
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
    found = both.many.search_many(QUESTIONS, exact=exact, **given)
    expected = both.one.search_many(QUESTIONS, exact=exact, **given)
    for own, other in zip(found, expected, strict=True):
        same(own, other)
    assert any(len(result) for result in expected)
