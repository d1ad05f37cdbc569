"""What is to become of the documents of an index."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InputError, some_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from s3_retriever.storage.catalogue import Entry
    from s3_retriever.storage.stored import StoredDocument


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the documents of an index.

    Attributes:
        documents: New ones, and such as take the place of those that have their ids; they come
            last, in this order.
        gone: Ids of those that are deleted.
        metadata: Other metadata of documents that stay, by id.
        kept: Documents that stay as they are; see `keeping`.
    """

    documents: Iterable[StoredDocument] = ()
    gone: Collection[str] = ()
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kept: Mapping[str, Entry] = field(default_factory=dict)

    def keeping(self, entries: Mapping[str, Entry]) -> Change:
        """The same change, in which those of some documents stay that it does not name.

        Raises:
            InputError: it names one to be deleted or told that is not among them.
        """
        unknown = [id for id in (*self.gone, *self.metadata) if id not in entries]
        if unknown:
            raise InputError(f"no document has the id {some_of(unknown)}; nothing was changed")
        kept = {
            id: _told(entry, self.metadata[id]) if id in self.metadata else entry
            for id, entry in entries.items()
            if id not in self.gone
        }
        return replace(self, kept=kept)


def _told(entry: Entry, metadata: Mapping[str, Any]) -> Entry:
    return entry._replace(metadata=json.dumps(metadata, ensure_ascii=False))
