"""An engine's state in an index folder: documents and codes, bank, settings.

The bank lies beside the catalogue in ``bank-<digest>/``, a folder that never changes; it is
complete on the disk before the catalogue names it. So an index answers as it did when it was
saved, whatever banks later releases ship.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.codec import Bank
from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.errors import BankError, IndexFileError
from s3_retriever.index import StoredDocument, load_index, save_index
from s3_retriever.index.failures import REBUILD, folder_of, saving
from s3_retriever.index.files import sync, sync_folder
from s3_retriever.report import ScanReport
from s3_retriever.scan import ARRAYS, TokenCodes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from s3_retriever.documents import Document

_PREFIX = "bank-"


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
    """

    entries: Iterable[tuple[Document, TokenCodes]]
    bank: Bank
    scan: ScanConfig
    search: SearchConfig
    answer: AnswerConfig
    report: ScanReport


def save_state(path: str | PathLike[str], state: State) -> None:
    """Make an index folder hold a state; the one it held stays whole until the last step.

    Raises:
        InputError: metadata that cannot be stored as JSON.
        IndexFileError: the folder is read-only, full, in use or not an index.
    """
    folder = folder_of(path)
    name = _save_bank(folder, state.bank)
    documents = (
        StoredDocument(document, {name: getattr(codes, name) for name in ARRAYS})
        for document, codes in state.entries
    )
    save_index(folder, documents=documents, header=_header(state, name))
    for other in folder.glob(f"{_PREFIX}*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


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
        )
    except (KeyError, TypeError) as error:
        raise IndexFileError(
            f"{folder} was not saved by an EndogenousIndex ({error}); build the index again"
        ) from error


def _header(state: State, bank: str) -> dict[str, Any]:
    return {
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


def _save_bank(folder: Path, bank: Bank) -> str:
    """Write a bank beside the catalogue unless it is there, and return its folder's name."""
    digest = bank.digest()
    name = f"{_PREFIX}{digest[:16]}"
    with suppress(BankError, OSError):
        _load_bank(folder / name, digest)
        return name
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            work = Path(temporary) / name
            _write_bank(bank, work)
            for place in (*work.rglob("*"), work):
                _to_disk(place)
            shutil.rmtree(folder / name, ignore_errors=True)  # what is damaged is of no use
            work.rename(folder / name)
        sync_folder(folder)
    return name


def _write_bank(bank: Bank, folder: Path) -> None:
    try:
        bank.save(folder)
    except BankError as error:
        raise error.__cause__ or error from None  # the disk's own words, for `saving` to explain


def _to_disk(place: Path) -> None:
    if place.is_dir():
        sync_folder(place)
        return
    with place.open("rb+") as file:
        sync(file)
