"""The documents of a retriever: inserted, refreshed and deleted as LlamaIndex's indices do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from llama_index.core.storage.docstore.types import RefDocInfo

from llama_index.retrievers.s3 import _conversion
from s3_retriever.adapters import background
from s3_retriever.adapters.arguments import reject_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llama_index.core.schema import BaseNode

    from s3_retriever.engine.asking import SearchableIndex
    from s3_retriever.engine.intake import OnError

_logger = logging.getLogger(__name__)


class IndexedDocuments:
    """What a retriever holds, under LlamaIndex's names.

    A document is known by its `ref_doc_id`: its own id, or, where a node was indexed that has a
    source, such as one a splitter made, the id of that. Keyword arguments that LlamaIndex's indices
    take for the docstore beside them (`delete_from_docstore`, `insert_kwargs`, `delete_kwargs`,
    `update_kwargs`) are accepted and change nothing: there is no docstore but the index.

    Every method that changes something has an async twin that leaves the event loop free.

    Attributes:
        index: The index searched.
    """

    index: SearchableIndex

    def add_documents(
        self, documents: Iterable[BaseNode], *, on_error: OnError = "raise"
    ) -> list[str]:
        """Read more documents and return their ids.

        Args:
            documents: As in `from_documents`.
            on_error: As in `from_documents`.

        Raises:
            InputError: an id that is already there, or a document that cannot be indexed; nothing
                is added then, and all such are named.
        """
        return list(self.index.add(_conversion.to_drafts(documents), on_error=on_error))

    def delete(self, ids: Sequence[str]) -> None:
        """Take what was indexed out of the index, by its own ids.

        Raises:
            InputError: an id that is not there; nothing is deleted then.
        """
        self.index.delete(ids)

    @property
    def ref_doc_info(self) -> dict[str, RefDocInfo]:
        """What was indexed, by `ref_doc_id`: the ids of it, and the metadata of the first."""
        every: dict[str, RefDocInfo] = {}
        for document in self.index.documents.values():
            shown = _conversion.own_metadata(document)
            info = every.setdefault(_conversion.ref_doc_id(document), RefDocInfo(metadata=shown))
            info.node_ids.append(document.id)
        return every

    def insert(self, document: BaseNode, **insert_kwargs: Any) -> None:
        """Read one more document.

        Raises:
            InputError: its id is already there (see `update_ref_doc`), or it cannot be indexed.
        """
        self.insert_nodes([document], **insert_kwargs)

    def insert_nodes(self, nodes: Iterable[BaseNode], **insert_kwargs: Any) -> None:
        """Read more nodes or documents; as `add_documents`."""
        _check("insert", insert_kwargs)
        self.add_documents(nodes)

    def delete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """Take a document out of the index, or all nodes of it.

        One that is not there is told in the log, and is no error.
        """
        _check("delete_ref_doc", delete_kwargs)
        ids = self._nodes_of({ref_doc_id})
        if not ids:
            _logger.warning("ref_doc_id %s not found, nothing deleted.", ref_doc_id)
        self.index.delete(ids)

    def update_ref_doc(self, document: BaseNode, **update_kwargs: Any) -> None:
        """Put a document in the place of the one with its id, or of all nodes of that.

        A text that is there already is not read again. One that is not there is inserted.

        Raises:
            InputError: it cannot be indexed; nothing changes then.
        """
        _check("update_ref_doc", update_kwargs)
        (id,) = self.index.upsert(_conversion.to_drafts([document]))
        self.index.delete(self._nodes_of({id}) - {id})

    def refresh_ref_docs(self, documents: Sequence[BaseNode], **update_kwargs: Any) -> list[bool]:
        """Insert documents that are new and update those whose text or metadata has changed.

        Returns:
            For each document whether it was new or changed.

        Raises:
            InputError: an id that comes twice, or a document that cannot be indexed; nothing
                changes then.
        """
        _check("refresh_ref_docs", update_kwargs)
        before = self.index.documents
        ids = self.index.upsert(_conversion.to_drafts(documents))
        after = self.index.documents
        changed = [id for id in ids if after.get(id) is not before.get(id)]
        self.index.delete(self._nodes_of(changed) - {*ids})
        return [id in changed for id in ids]

    def _nodes_of(self, ref_doc_ids: Iterable[str]) -> set[str]:
        """Ids of what was indexed of some documents."""
        wanted, every = set(ref_doc_ids), self.index.documents.values()
        return {d.id for d in every if _conversion.ref_doc_id(d) in wanted}

    async def aadd_documents(
        self, documents: Iterable[BaseNode], *, on_error: OnError = "raise"
    ) -> list[str]:
        """As `add_documents`."""
        return await background.run(self.add_documents, documents, on_error=on_error)

    async def adelete(self, ids: Sequence[str]) -> None:
        """As `delete`."""
        await background.run(self.delete, ids)

    async def ainsert(self, document: BaseNode, **insert_kwargs: Any) -> None:
        """As `insert`."""
        await background.run(self.insert, document, **insert_kwargs)

    async def ainsert_nodes(self, nodes: Iterable[BaseNode], **insert_kwargs: Any) -> None:
        """As `insert_nodes`."""
        await background.run(self.insert_nodes, nodes, **insert_kwargs)

    async def adelete_ref_doc(
        self, ref_doc_id: str, delete_from_docstore: bool = False, **delete_kwargs: Any
    ) -> None:
        """As `delete_ref_doc`."""
        await background.run(self.delete_ref_doc, ref_doc_id, delete_from_docstore, **delete_kwargs)

    async def aupdate_ref_doc(self, document: BaseNode, **update_kwargs: Any) -> None:
        """As `update_ref_doc`."""
        await background.run(self.update_ref_doc, document, **update_kwargs)

    async def arefresh_ref_docs(
        self, documents: Sequence[BaseNode], **update_kwargs: Any
    ) -> list[bool]:
        """As `refresh_ref_docs`."""
        return await background.run(self.refresh_ref_docs, documents, **update_kwargs)


_ACCEPTED = ("insert_kwargs", "delete_kwargs", "update_kwargs")


def _check(method: str, given: Iterable[str]) -> None:
    reject_unknown(given, _ACCEPTED, method)
