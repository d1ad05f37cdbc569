"""An index folder as a store: documents and codes, bank, settings.

The bank lies beside the catalogue in ``bank-<digest>/``, a folder that never changes; it is
complete on the disk before the catalogue names it. So an index answers as it did when it was
saved, whatever banks later releases ship.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, replace
from time import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from s3_retriever.codec import Bank
from s3_retriever.codec.codes import ARRAYS, TokenCodes
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.engine.store import Saved, State
from s3_retriever.engine.table_maker import TableMaker, codes_of, opened_part
from s3_retriever.errors import BankError, IndexConflictError, IndexFileError
from s3_retriever.reading.clock import ScanReport
from s3_retriever.searching.searcher import FAST_FROM
from s3_retriever.storage import (
    Change,
    StoredDocument,
    Version,
    array_digest,
    extend_index,
    holding,
    is_index,
    load_index,
    save_index,
    stored_version,
)
from s3_retriever.storage.failures import REBUILD, damaged, folder_of
from s3_retriever.storage.pieces import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    import numpy as np

    from s3_retriever.documents import Document
    from s3_retriever.engine.parts import Part
    from s3_retriever.storage import LoadedSegment

_PREFIX = "bank-"
_UID = "uid"


_DIGESTS: WeakKeyDictionary[TokenCodes, str] = WeakKeyDictionary()
"""Digests of codes that were saved or loaded: a save hashes no document twice."""


class FolderStore:
    """An index folder; does as `s3_retriever.engine.store.Store` says.

    Args:
        path: The folder; missing, empty or an index, to be saved into.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._folder = folder_of(path)

    def save(
        self, state: State, overwrite: bool = False, compact: bool = False
    ) -> tuple[Saved, Sequence[Part] | None]:
        """See `Store.save`."""
        return _save(self._folder, state, overwrite, compact)

    def load(self) -> State:
        """See `Store.load`; the codes are mapped into memory, not read."""
        return _load(self._folder)

    def outline(self) -> State | None:
        """See `Store.outline`; no text and no code is read."""
        version = stored_version(self._folder) if is_index(self._folder) else None
        return None if version is None else _settled(self._folder, version, ())

    def extend(
        self,
        state: State,
        entries: Sequence[tuple[Document, TokenCodes]],
        gone: Collection[str] = (),
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> State:
        """See `Store.extend`."""
        change = Change([_stored(*entry) for entry in entries], gone, metadata or {})
        return _extend(self._folder, state, change)


def write_piece(
    folder: Path, state: State, entries: Sequence[tuple[Document, TokenCodes]], cells: bool
) -> Version:
    """Write documents into a new folder, as a piece of an index whose bank lies elsewhere.

    Args:
        folder: Missing or empty.
        state: Settings, bank and report of the piece.
        entries: Documents with their codes.
        cells: Whether the tables hold cells, as those of a large index do.
    """
    maker = TableMaker((), state.bank, cells=cells, digest=_digest)
    change = Change([_stored(*entry) for entry in entries])
    header = header_of(state) | {WRITTEN: time()}
    return extend_index(folder, change, header=header, maker=maker)


def _save(
    folder: Path, state: State, overwrite: bool, compact: bool
) -> tuple[Saved, Sequence[Part] | None]:
    documents = [_stored(*entry) for part in state.parts for entry in part.entries()]
    tokens = sum(item.arrays["starts"].size for item in documents)
    maker = TableMaker(state.parts, state.bank, cells=tokens >= FAST_FROM, digest=_digest)
    with holding(folder):
        old = stored_version(folder)
        base = None if old is None or overwrite else _base(folder, old, state, documents)
        uid = None if old is None or overwrite else _uid(old)
        version = save_index(
            folder,
            documents=documents,
            header=header_of(state, uid),
            attached=attached_of(state),
            base=base,
            merge=lambda *headers: _merged(folder, *headers),
            maker=maker,
            compact=compact,
        )
    parts = None if base is not None else _laid_out(version, state.parts, maker)
    return Saved(folder.resolve(), version), parts


def _extend(folder: Path, state: State, change: Change) -> State:
    before = () if state.saved is None else state.saved.version.contents.entries
    tokens = sum(entry.rows for entry in before)
    tokens += sum(item.arrays["starts"].size for item in change.documents)
    maker = TableMaker((), state.bank, cells=tokens >= FAST_FROM, digest=_digest)
    version = extend_index(
        folder,
        change,
        header=header_of(state, None if state.saved is None else _uid(state.saved.version)),
        attached=attached_of(state),
        maker=maker,
    )
    return replace(state, saved=Saved(folder.resolve(), version))


def attached_of(state: State) -> dict[str, bytes]:
    """The files of a folder that belong to an index, besides its documents."""
    name = _bank_name(state.bank)
    return {f"{name}/{file}": data for file, data in state.bank.files().items()}


def _bank_name(bank: Bank) -> str:
    return f"{_PREFIX}{bank.digest()[:16]}"


def _laid_out(version: Version, parts: Iterable[Part], maker: TableMaker) -> Sequence[Part] | None:
    """The parts of a corpus as they lie in a folder now; None where they have to be opened."""
    before = {tuple(document.id for document in part.documents): part for part in parts}
    found = []
    for entries in version.contents.by_segment().values():
        ids = tuple(entry.id for entry in entries)
        part = maker.made(ids) or before.get(ids)
        if part is None:
            return None
        found.append(part)
    return found


def _stored(document: Document, codes: TokenCodes) -> StoredDocument:
    return StoredDocument(document, _arrays(codes), _digest(codes))


def _arrays(codes: TokenCodes) -> dict[str, np.ndarray]:
    return {name: getattr(codes, name) for name in ARRAYS}


def _digest(codes: TokenCodes) -> str:
    if codes not in _DIGESTS:
        _DIGESTS[codes] = array_digest(_arrays(codes))
    return _DIGESTS[codes]


def _opened(item: StoredDocument) -> tuple[Document, TokenCodes]:
    codes = codes_of(item)
    if item.digest is not None:
        _DIGESTS[codes] = item.digest
    return item.document, codes


def _base(
    folder: Path, old: Version, state: State, documents: Iterable[StoredDocument]
) -> Version | None:
    """What both changes of an index were made from; None where saving loses nothing.

    Raises:
        IndexConflictError: the folder holds another index, with documents that this one lacks.
    """
    saved = state.saved
    if saved is not None and saved.version.seal == old.seal:
        return None
    if saved is not None and _uid(saved.version) == _uid(old) is not None:
        return saved.version
    own = {item.document.id: item.document for item in documents}
    lost = [entry.id for entry in old.contents.entries if not _holds(own.get(entry.id), entry)]
    if lost:
        raise IndexConflictError(
            f"{folder} holds another index, with {len(lost):,} documents that this one lacks or "
            f"has otherwise ({lost[0]!r}, say); nothing was saved: save elsewhere, load that index "
            "and add to it, or, to lose it, save(path, overwrite=True)"
        )
    return None


def _holds(document: Document | None, entry: Any) -> bool:
    if document is None or len(document.text) != entry.characters:
        return False
    same = hashlib.sha256(document.text.encode()).hexdigest() == entry.text
    return same and bool(document.metadata == json.loads(entry.metadata))


def _uid(version: Version) -> str | None:
    return version.contents.header.get(_UID)


def _merged(
    folder: Path, base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    """One header of two that were changed: ours where it differs from what both began with."""
    both = dict(theirs)
    for name, own in ours.items():
        was, other = base.get(name), theirs.get(name)
        if name == "report":
            first, second, common = (ScanReport(**h[name]) for h in (ours, theirs, base))
            both[name] = asdict(first + second - common)
        elif other in (was, own):
            both[name] = own
        elif own != was:
            raise IndexConflictError(
                f"the index {folder} was given another {name!r} by another process, and so it was "
                "here; nothing was saved: load it again and repeat the change, or save elsewhere"
            )
    return both


def _load(folder: Path) -> State:
    stored = load_index(folder)
    return _settled(folder, stored.version, stored.segments)


def _settled(folder: Path, version: Version, segments: Iterable[LoadedSegment]) -> State:
    """What a folder holds, as far as segments of it were opened."""
    header = version.contents.header
    try:
        bank = _load_bank(folder / header["bank"], header["codec_fingerprint"])
        return State(
            parts=[_opened_part(folder, segment, bank) for segment in segments],
            bank=bank,
            scan=ScanConfig(**header["scan"]),
            search=SearchConfig(**header["search"]),
            answer=AnswerConfig(**header["answer"]),
            report=ScanReport(**header["report"]),
            saved=Saved(folder.resolve(), version),
        )
    except (KeyError, TypeError) as error:
        raise IndexFileError(
            f"{folder} was not saved by an EndogenousIndex ({error}); build the index again"
        ) from error


def _opened_part(folder: Path, segment: LoadedSegment, bank: Bank) -> Part:
    try:
        return opened_part(segment, [_opened(item) for item in segment.documents], bank)
    except (KeyError, ValueError) as error:
        raise damaged(folder, str(error)) from error


def header_of(state: State, uid: str | None = None) -> dict[str, Any]:
    """What a folder says of an index besides its documents.

    Args:
        state: Of the index.
        uid: Which index it is; a new one by default.
    """
    return {
        _UID: uid or uuid.uuid4().hex,
        "model_name": state.bank.model_name,
        "model_fingerprint": state.bank.fingerprint,
        "codec_fingerprint": state.bank.digest(),
        "bank": _bank_name(state.bank),
        "scan": state.scan.model_dump(),
        "search": state.search.model_dump(),
        "answer": state.answer.model_dump(),
        "report": asdict(state.report),
    }


def _load_bank(folder: Path, digest: str) -> Bank:
    try:
        bank = Bank.load(folder)
    except BankError as error:
        raise BankError(f"the bank of an index cannot be used: {error}; {REBUILD}") from error
    if bank.digest() != digest:
        raise BankError(f"{folder} does not hold the bank that the index was made with; {REBUILD}")
    return bank
