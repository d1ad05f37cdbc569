"""An engine's state in an index folder: documents and codes, bank, settings.

The bank lies beside the catalogue in ``bank-<digest>/``, a folder that never changes; it is
complete on the disk before the catalogue names it. So an index answers as it did when it was
saved, whatever banks later releases ship.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from s3_retriever.codec import Bank
from s3_retriever.codec.codes import ARRAYS, TokenCodes
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.errors import BankError, IndexConflictError, IndexFileError
from s3_retriever.reading.clock import ScanReport
from s3_retriever.storage import (
    StoredDocument,
    Version,
    holding,
    load_index,
    save_index,
    stored_version,
)
from s3_retriever.storage.failures import REBUILD, folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from pathlib import Path

    from s3_retriever.documents import Document

_PREFIX = "bank-"
_UID = "uid"


@dataclass(frozen=True)
class State:
    """All that an engine needs besides the model.

    Attributes:
        entries: Documents with their codes.
        bank: The bank the codes were made with.
        scan: How documents are read.
        search: How spans are searched.
        answer: How answers are made.
        report: What the scans took.
        saved: Where it was loaded from or last saved to, if anywhere.
    """

    entries: Iterable[tuple[Document, TokenCodes]]
    bank: Bank
    scan: ScanConfig = field(default_factory=ScanConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    report: ScanReport = field(default_factory=ScanReport)
    saved: Saved | None = None


@dataclass(frozen=True)
class Saved:
    """A state of an index folder, to tell later whether somebody else has changed it.

    Attributes:
        folder: The folder, resolved.
        version: What it held.
    """

    folder: Path
    version: Version


def save_state(
    path: str | PathLike[str], state: State, overwrite: bool = False
) -> tuple[Saved, bool]:
    """Make an index folder hold a state; the one it held stays whole until the last step.

    Where somebody else has saved into the folder since `State.saved`, both changes are made.

    Args:
        path: The folder.
        state: To save.
        overwrite: Replace whatever index the folder holds.

    Returns:
        What the folder holds now, and whether that is somebody else's change as well.

    Raises:
        IndexConflictError: the folder holds what saving would lose.
        IndexFileError: the folder is read-only, full, in use, or neither empty nor an index.
    """
    folder = folder_of(path)
    documents = [
        StoredDocument(document, {name: getattr(codes, name) for name in ARRAYS})
        for document, codes in state.entries
    ]
    bank = f"{_PREFIX}{state.bank.digest()[:16]}"
    with holding(folder):
        old = stored_version(folder)
        base = None if old is None or overwrite else _base(folder, old, state, documents)
        uid = None if old is None or overwrite else _uid(old)
        version = save_index(
            folder,
            documents=documents,
            header=_header(state, bank, uid),
            attached={f"{bank}/{name}": data for name, data in state.bank.files().items()},
            base=base,
            merge=lambda *headers: _merged(folder, *headers),
        )
    return Saved(folder.resolve(), version), base is not None


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


def load_state(path: str | PathLike[str]) -> State:
    """Open an index folder; the codes are mapped into memory, not read.

    Raises:
        IndexFileError: the folder is missing, no index, or damaged.
        FormatVersionError: a newer release wrote it.
        BankError: the bank beside it is missing or damaged.
    """
    folder = folder_of(path)
    stored = load_index(folder)
    header = stored.header
    try:
        bank = _load_bank(folder / header["bank"], header["codec_fingerprint"])
        return State(
            entries=[
                (item.document, TokenCodes(*(item.arrays[name] for name in ARRAYS)))
                for item in stored.documents
            ],
            bank=bank,
            scan=ScanConfig(**header["scan"]),
            search=SearchConfig(**header["search"]),
            answer=AnswerConfig(**header["answer"]),
            report=ScanReport(**header["report"]),
            saved=Saved(folder.resolve(), stored.version),
        )
    except (KeyError, TypeError) as error:
        raise IndexFileError(
            f"{folder} was not saved by an EndogenousIndex ({error}); build the index again"
        ) from error


def _header(state: State, bank: str, uid: str | None) -> dict[str, Any]:
    return {
        _UID: uid or uuid.uuid4().hex,
        "model_name": state.bank.model_name,
        "model_fingerprint": state.bank.fingerprint,
        "codec_fingerprint": state.bank.digest(),
        "bank": bank,
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
