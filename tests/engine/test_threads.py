"""Threads that search one index at the same time find what one alone finds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

import pytest
import torch

from random_bank import make_bank
from s3_retriever.documents import Document
from s3_retriever.engine import EndogenousIndex
from s3_retriever.searching import searcher

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

NAMES = ("assert", "class", "debugger", "with")
QUESTIONS = [f"How does {name} treat an exception, and when?" for name in sorted(topics)[:12]]


@pytest.mark.parametrize("fast_from", [0, 10**9])
def test_two_threads_search_what_nobody_has_searched_yet(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch, fast_from: int
) -> None:
    monkeypatch.setattr(searcher, "FAST_FROM", fast_from)
    documents = [Document(name, topics[name][:4000], {"name": name}) for name in NAMES]
    index = EndogenousIndex.build(
        documents, model=tiny_backbone, bank=make_bank(tiny_backbone), progress=False
    )
    where = [None, {"name": {"in": ["class", "with"]}}]
    asked = [(question, where[n % 2]) for n, question in enumerate(QUESTIONS)]
    alone = copy(index)
    expected = [alone.search(question, k=5, filter=only).spans for question, only in asked]
    begin, used = threading.Barrier(2), torch.get_num_threads()

    def search(first: int) -> list[object]:
        begin.wait(60)  # what is made on first use is asked for by both at once
        order = [*range(first, len(asked)), *range(first)]
        found = {n: index.search(asked[n][0], k=5, filter=asked[n][1]).spans for n in order}
        return [found[n] for n in range(len(asked))]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(search, (0, len(asked) // 2)))
    assert results == [expected, expected]
    assert torch.get_num_threads() == used
