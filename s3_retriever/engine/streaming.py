"""Documents go into a place where an index is kept while they are read; none is held."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import IndexFileError
from s3_retriever.reading.clock import ScanClock
from s3_retriever.reading.scan import scan_groups
from s3_retriever.storage import SEGMENT_ROWS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import TokenCodes
    from s3_retriever.documents import Document
    from s3_retriever.engine.store import Sink, State
    from s3_retriever.storage.catalogue import Entry

SAVE_SECONDS = 60.0
"""What was read is saved at least so often, however slowly the model reads."""

_SAVE_SHARE = 10  # reading takes at least so many times as long as saving


class Stream:
    """Reads documents into a place; what is held is what was not saved yet.

    Documents are whole or absent. What was read is saved when a segment is full, when
    `SAVE_SECONDS` have passed, and when reading ends, be it by an error or an interrupt; what came
    before an error of the documents' source is read first. The caller keeps others from saving to
    the place (`s3_retriever.storage.holding`).

    Args:
        store: Takes what was read.
        backbone: The model.
        state: What the place holds, of `Store.outline`; or a new one.

    Attributes:
        state: What the place holds now.
        read: Ids of the documents that were read and saved.
    """

    def __init__(self, store: Sink, backbone: Backbone, state: State) -> None:
        self.state = state
        self.read: list[str] = []
        self._store, self._backbone = store, backbone
        self._entries: list[tuple[Document, TokenCodes]] = []
        self._told: dict[str, Mapping[str, Any]] = {}
        self._tokens = 0
        self._failed: Exception | None = None
        self._due = perf_counter() + SAVE_SECONDS

    def take(
        self, documents: Iterable[Document], progress: bool = False, expected: int | None = None
    ) -> None:
        """Read documents that are new or have another text; of the others metadata is updated.

        Args:
            documents: With distinct ids; taken one by one, a few ahead of the model.
            progress: Show a bar on standard error.
            expected: How many come, where that is known.

        Raises:
            IndexFileError: they could not be saved; what was saved before is whole. Whatever the
                source of the documents raises is raised again.
        """
        clock, before = ScanClock(self._backbone.device), self.state.report
        fresh = self._fresh(documents)
        bank, config = self.state.bank, self.state.scan
        try:
            groups = scan_groups(
                self._backbone, bank, fresh, config, progress, clock=clock, expected=expected
            )
            for group in groups:
                while group:
                    self._entries.append(group.pop(0))
                    self._tokens += len(self._entries[-1][1])
                    if self._tokens >= SEGMENT_ROWS:
                        self._save(replace(self.state, report=before + clock.report()))
                if perf_counter() >= self._due:
                    self._save(replace(self.state, report=before + clock.report()))
        except IndexFileError:
            raise
        except BaseException:
            self._save(replace(self.state, report=before + clock.report()))
            raise
        self._save(replace(self.state, report=before + clock.report()))
        if self._failed is not None:
            raise self._failed

    def forget(self, ids: Collection[str]) -> None:
        """Delete documents."""
        if ids:
            self.state = self._store.extend(self.state, (), ids)

    def _fresh(self, documents: Iterable[Document]) -> Iterator[Document]:
        try:
            yield from self._unread(documents)
        except Exception as error:  # what came before is read first
            self._failed = error

    def _unread(self, documents: Iterable[Document]) -> Iterator[Document]:
        known = known_documents(self.state)
        for document in documents:
            entry = known.get(document.id)
            if entry is None or entry.text != digest_of(document.text):
                yield document
            elif entry.metadata != json.dumps(document.metadata, ensure_ascii=False):
                self._told[document.id] = document.metadata

    def _save(self, state: State) -> None:
        if not self._entries and not self._told:
            return
        begun = perf_counter()
        self.state = self._store.extend(state, self._entries, (), self._told)
        self.read += [document.id for document, _ in self._entries]
        self._entries, self._told, self._tokens = [], {}, 0
        now = perf_counter()
        self._due = now + max(SAVE_SECONDS, _SAVE_SHARE * (now - begun))


def known_documents(state: State | None) -> dict[str, Entry]:
    """What the catalogue says of each document of an outline, by id."""
    if state is None or state.saved is None:
        return {}
    return {entry.id: entry for entry in state.saved.version.contents.entries}


def digest_of(text: str) -> str:
    """The digest of a text that the catalogue knows it by."""
    return hashlib.sha256(text.encode()).hexdigest()
