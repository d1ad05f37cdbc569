"""The documents of a retriever: added, replaced, fetched and deleted as LangChain's stores do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.indexing import DeleteResponse, DocumentIndex, UpsertResponse
from pydantic import Field

from langchain_s3_retriever import _conversion
from s3_retriever.adapters import background
from s3_retriever.engine.asking import SearchableIndex  # noqa: TC001  # read by pydantic
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.documents import Document

    from s3_retriever.engine.intake import OnError


class IndexedDocuments(DocumentIndex):
    """What a retriever holds; also as LangChain's ``index(docs, record_manager, retriever)`` asks.

    Every method has an async twin that leaves the event loop free. Unlike LangChain's, none takes
    arguments that it does not know.

    Attributes:
        index: The index searched; copies of the retriever share it.
    """

    index: SearchableIndex = Field(exclude=True, repr=False)

    def add_documents(
        self,
        documents: Iterable[Document],
        ids: Iterable[str] | None = None,
        *,
        on_error: OnError = "raise",
    ) -> list[str]:
        """Read more documents and return their ids.

        Args:
            documents: As in `from_documents`.
            ids: Of each, in the place of its own.
            on_error: As in `from_documents`.

        Raises:
            InputError: an id that is already there (`upsert` replaces), or a document that cannot
                be indexed; nothing is added then, and all such are named.
        """
        drafts = _conversion.to_drafts(documents)
        return list(self.index.add(_conversion.with_ids(drafts, ids), on_error=on_error))

    async def aadd_documents(
        self,
        documents: Iterable[Document],
        ids: Iterable[str] | None = None,
        *,
        on_error: OnError = "raise",
    ) -> list[str]:
        """As `add_documents`."""
        return await background.run(self.add_documents, documents, ids, on_error=on_error)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[str] | None = None,
        on_error: OnError = "raise",
    ) -> list[str]:
        """Read more texts and return their ids; arguments and errors are those of `from_texts`."""
        drafts = _conversion.from_texts(texts, metadatas, ids)
        return list(self.index.add(drafts, on_error=on_error))

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[str] | None = None,
        on_error: OnError = "raise",
    ) -> list[str]:
        """As `add_texts`."""
        return await background.run(self.add_texts, texts, metadatas, ids=ids, on_error=on_error)

    def upsert(  # type: ignore[override]
        self, items: Sequence[Document], /, *, on_error: OnError = "raise"
    ) -> UpsertResponse:
        """Add documents, each in the place of the one that has its id, if any.

        A text that is there already is not read again.

        Args:
            items: As in `from_documents`.
            on_error: As in `from_documents`; with ``"skip"``, what was left out has failed.

        Raises:
            InputError: an id that comes twice, or a document that cannot be indexed; nothing
                changes then, and all such are named.
        """
        ids = list(self.index.upsert(_conversion.to_drafts(items), on_error=on_error))
        failed = [skipped.id for skipped in self.index.skipped if skipped.id is not None]
        return UpsertResponse(succeeded=ids, failed=failed)

    async def aupsert(  # type: ignore[override]
        self, items: Sequence[Document], /, *, on_error: OnError = "raise"
    ) -> UpsertResponse:
        """As `upsert`."""
        return await background.run(self.upsert, items, on_error=on_error)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by their ids, in that order; ids of nothing are left out.

        Args:
            ids: Of documents that were indexed, which come whole with their own metadata, or of
                spans that were retrieved, which come as they did.
        """
        return _conversion.from_ids(_listed(ids), self.index.documents)

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As `get_by_ids`."""
        return self.get_by_ids(ids)

    def get(self, ids: Sequence[str], /) -> list[Document]:  # type: ignore[override]
        """As `get_by_ids`, under the name that LangChain's indexing has for it."""
        return self.get_by_ids(ids)

    async def aget(self, ids: Sequence[str], /) -> list[Document]:  # type: ignore[override]
        """As `get_by_ids`."""
        return self.get_by_ids(ids)

    def delete(self, ids: Sequence[str] | None = None) -> DeleteResponse:  # type: ignore[override]
        """Take source documents out of the index.

        Args:
            ids: Of documents that were indexed. As in LangChain's stores, one that is not there is
                no error; what was deleted is told.

        Raises:
            InputError: no ids.
        """
        if ids is None:
            raise InputError("nothing is deleted without ids; give delete(ids=[...])")
        there = [id for id in dict.fromkeys(_listed(ids)) if id in self.index.documents]
        self.index.delete(there)
        return DeleteResponse(num_deleted=len(there), succeeded=there, num_failed=0, failed=[])

    async def adelete(self, ids: Sequence[str] | None = None) -> DeleteResponse:  # type: ignore[override]
        """As `delete`."""
        return await background.run(self.delete, ids)


def _listed(ids: Sequence[str]) -> Sequence[str]:
    return [ids] if isinstance(ids, str) else ids
