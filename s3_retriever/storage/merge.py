"""Two changes of one index that do not touch each other, as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.errors import IndexConflictError, some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from s3_retriever.storage.catalogue import Entry

    MergeHeaders = Callable[
        [Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]
    ]
    """Makes one header of that before both changes, ours and theirs."""


def merged(
    folder: Path, base: Iterable[Entry], ours: Mapping[str, Entry], theirs: Iterable[Entry]
) -> dict[str, Entry]:
    """Make both of two changes.

    Args:
        folder: The index, for the message of an error.
        base: The documents before either.
        ours: Those that are to be saved, by id.
        theirs: Those that another process saved in the meantime.

    Returns:
        Theirs, with our change made to them; documents that we added come last.

    Raises:
        IndexConflictError: both changed one document, each in another way.
    """
    before = {entry.id: entry for entry in base}
    there = {entry.id: entry for entry in theirs}
    both: dict[str, Entry] = {}
    clashes = []
    for id in {**there, **ours}:
        was, own, other = before.get(id), ours.get(id), there.get(id)
        if _same(own, was):
            kept = other
        elif _same(other, was) or _same(own, other):
            kept = own
        else:
            clashes.append(id)
            continue
        if kept is not None:
            both[id] = kept
    if clashes:
        raise IndexConflictError(
            f"the index {folder} was changed by another process, and so was {some_of(clashes)} "
            "here; nothing was saved: load it again and repeat the change, or save elsewhere"
        )
    return both


def _same(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.text, one.metadata, one.arrays) == (other.text, other.metadata, other.arrays)
