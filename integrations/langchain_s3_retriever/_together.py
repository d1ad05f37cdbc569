"""A batch of questions, which the model reads together before each is searched by itself."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.retrievers import BaseRetriever

    from s3_retriever.engine.results import SearchResult


@dataclass(frozen=True)
class Together:
    """What a batch has found before its single runs begin.

    Attributes:
        retriever: Whose batch it is.
        options: Arguments of its runs.
        results: By question.
    """

    retriever: BaseRetriever
    options: Mapping[str, Any]
    results: Mapping[str, SearchResult]

    @contextmanager
    def running(self) -> Iterator[None]:
        """While its runs do; they inherit it, in whatever thread or task they are."""
        token = _RUNNING.set(self)
        try:
            yield
        finally:
            _RUNNING.reset(token)


_RUNNING: ContextVar[Together | None] = ContextVar("together", default=None)


def found_together(
    retriever: BaseRetriever, question: str, options: Mapping[str, Any]
) -> SearchResult | None:
    """What the batch that is running has found for one of its runs, if this is one."""
    batch = _RUNNING.get()
    if batch is None or retriever is not batch.retriever or options != batch.options:
        return None
    return batch.results.get(question) if isinstance(question, str) else None
