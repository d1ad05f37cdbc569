"""From one state of an index folder to the next: files first, then the catalogue, in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from s3_retriever.folders import is_file_of
from s3_retriever.metadata import freeze
from s3_retriever.storage import files
from s3_retriever.storage.catalogue import ATTACHED, Contents, Draft
from s3_retriever.storage.failures import saving
from s3_retriever.storage.journal import Journal
from s3_retriever.storage.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from s3_retriever.storage.catalogue import Version

Filled = tuple[Contents, Iterable[tuple[str, str]]]
"""What a catalogue shall hold, and the texts that it may not hold yet, each with its digest."""


def with_attached(header: Mapping[str, Any], attached: Mapping[str, bytes]) -> Mapping[str, Any]:
    """A header that names the files that belong to the index.

    Raises:
        InputError: it is not JSON.
    """
    return freeze(dict(header) | ({ATTACHED: sorted(attached)} if attached else {}), "the header")


def commit(
    folder: Path,
    before: Contents | None,
    attached: Mapping[str, bytes],
    fill: Callable[[Journal], Filled],
) -> Version:
    """Make the next state of a folder; the caller holds its lock.

    Args:
        folder: The index.
        before: What it holds now, if anything.
        attached: Files that belong to the index, see `s3_retriever.storage.save_index`.
        fill: Writes what is not there yet, having noted the names in the journal.

    Raises:
        IndexFileError: it could not be written; the folder holds what it held.
    """
    journal = Journal(folder)
    live = before.files if before else set()
    keep: set[str] | None = live
    try:
        with Draft(folder) as draft:
            _attach(folder, attached, journal)
            contents, texts = fill(journal)
            with saving(folder):
                journal.note(live - contents.files)
            version = draft.write(contents, texts)
            keep = None  # from here on the folder may hold either state
            draft.commit()
        keep = contents.files
    finally:
        if keep is not None:
            journal.sweep(keep)
    return version


def _attach(folder: Path, attached: Mapping[str, bytes], journal: Journal) -> None:
    """Write attached files that are not there as they should be."""
    with saving(folder):
        missing = {n: data for n, data in attached.items() if not is_file_of(folder / n, data)}
        journal.note(missing)
        places = sorted({(folder / name).parent for name in missing})
        for place in places:
            files.make_folder(place)
        for name, data in missing.items():
            write_whole(folder / name, data)
        for place in {folder for inner in places for folder in (inner, inner.parent)}:
            files.sync_folder(place)
