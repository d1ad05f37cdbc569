"""Shards as actors of a Ray cluster of this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from s3_retriever import ShardedIndex, ShardError
from shard_samples import QUESTIONS, one_index, read_all, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.backbone import Backbone
    from s3_retriever.engine import EndogenousIndex

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def whole(tiny_backbone: Backbone) -> EndogenousIndex:
    return read_all(tiny_backbone)


@pytest.fixture(scope="module")
def opened(
    whole: EndogenousIndex, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ShardedIndex, EndogenousIndex]]:
    paths = split(whole, tmp_path_factory.mktemp("ray"), 2, 5)
    many = ShardedIndex.open(
        paths, model=whole.backbone, address="local", options={"num_cpus": 0}, timeout=120
    )
    with many:
        yield many, one_index(whole.backbone, paths)
    ray.shutdown()


def test_actors_find_what_one_index_finds(
    opened: tuple[ShardedIndex, EndogenousIndex],
) -> None:
    many, one = opened
    for given in ({}, {"filter": lambda metadata: metadata["size"] < 2400}):
        found, expected = (it.search_many(QUESTIONS, **given) for it in opened)
        for own, other in zip(found, expected, strict=True):
            assert [span.id for span in own] == [span.id for span in other]
            scores = [span.score for span in other]
            assert [span.score for span in own] == pytest.approx(scores, rel=1e-3, abs=2e-3)
            assert dict(own.sources) == dict(other.sources)
    assert [*many.documents] == [*one.documents]


def test_an_actor_that_dies_is_named_and_started_anew(
    opened: tuple[ShardedIndex, EndogenousIndex],
) -> None:
    many, one = opened
    lost = many.shards[1]
    actor = many._shards._actors[lost]  # type: ignore[attr-defined]
    ray.kill(actor, no_restart=False)
    with pytest.raises(ShardError, match=r"no answer from .*shard 1 \("):
        for _ in range(50):  # until Ray has noticed
            many.search(QUESTIONS[0])
    for _ in range(50):  # until it is there again
        try:
            found = many.search(QUESTIONS[0])
            break
        except ShardError:
            time.sleep(0.5)
    assert [span.id for span in found] == [span.id for span in one.search(QUESTIONS[0])]
