"""Where a span stands, put beside what the metadata of its document says already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.documents import Document

PREFIX = "s3_"
"""Stands before names of ours where a document has one of them already."""


def place(source: str, start: int, end: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the place of a span in the document that was indexed, as metadata.

    Returns:
        The source, and where in it: each is put beside a document's own by itself.
    """
    return {"source_id": source}, {"start_index": start, "end_index": end}


def named_columns(header: str) -> dict[str, str]:
    """The header of a row of a table, as metadata; none of any other span."""
    return {"header": header} if header else {}


def place_of(id: str, documents: Mapping[str, Document]) -> tuple[str, int, int] | None:
    """Read the id of a span (see `s3_retriever.documents.Span.id`).

    Args:
        id: Any text.
        documents: By id, those that are indexed.

    Returns:
        Document, start and end, or None where no span of these documents has the id.
    """
    source, *bounds = id.rsplit(":", 2)
    if source not in documents or len(bounds) < 2 or not all(b.isdecimal() for b in bounds):
        return None
    start, end = map(int, bounds)
    held = start < end <= len(documents[source].text) and id == f"{source}:{start}:{end}"
    return (source, start, end) if held else None


def beside(own: Mapping[str, Any], *ours: Mapping[str, Any]) -> dict[str, Any]:
    """Add entries to metadata without touching any that are there.

    Args:
        own: A document's own metadata.
        ours: What to add. Where `own` has any of the names of one of these, all names of that one
            are prefixed with `PREFIX`, as many times as it takes for none of them to be there.

    Returns:
        A new dict with the entries of all.
    """
    every = dict(own)
    for entries in ours:
        prefix = ""
        while any(prefix + name in own for name in entries):
            prefix += PREFIX
        every |= {prefix + name: value for name, value in entries.items()}
    return every


def latest(own: Mapping[str, Any], name: str) -> Any:
    """Return what `beside` added last under a name, or None where there is no such entry."""
    while PREFIX + name in own:
        name = PREFIX + name
    return own.get(name)


def is_place(start: object, end: object, length: int) -> TypeGuard[int]:
    """Tell whether a text stands at `start`, as far as that can be told.

    Args:
        start: Its first character, where that is known: an int that is not negative.
        end: One past its last, or anything but an int where nobody said.
        length: Of the text.
    """
    if not _is_int(start) or start < 0:
        return False
    return not _is_int(end) or end - start == length


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
