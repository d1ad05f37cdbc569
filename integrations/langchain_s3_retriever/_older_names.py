"""The names that older LangChain had, for chains that still call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.retrievers import BaseRetriever

if TYPE_CHECKING:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableConfig


class OlderNames(BaseRetriever):
    """`invoke` and `ainvoke` under the names they once had."""

    def get_relevant_documents(
        self,
        query: str,
        *,
        callbacks: Callbacks = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Search, under the name older LangChain had for `invoke`."""
        return self.invoke(query, _config(callbacks, tags, metadata, run_name), **kwargs)

    async def aget_relevant_documents(
        self,
        query: str,
        *,
        callbacks: Callbacks = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Search, under the name older LangChain had for `ainvoke`."""
        return await self.ainvoke(query, _config(callbacks, tags, metadata, run_name), **kwargs)


def _config(
    callbacks: Callbacks,
    tags: list[str] | None,
    metadata: dict[str, Any] | None,
    run_name: str | None,
) -> RunnableConfig:
    """Gather what older LangChain took as separate arguments."""
    config: RunnableConfig = {
        "callbacks": callbacks,
        "tags": tags or [],
        "metadata": metadata or {},
    }
    return {**config, "run_name": run_name} if run_name else config
