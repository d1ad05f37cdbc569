"""Where a span stands, put beside what the metadata of its document says already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3_retriever.documents import Span

PREFIX = "s3_"
"""Stands before names of ours where a document has one of them already."""


def place(span: Span) -> dict[str, Any]:
    """Return the place of a span in the document that was indexed, as metadata."""
    return {"start_index": span.start, "end_index": span.end, "source_id": span.document_id}


def beside(own: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Add entries to metadata without touching any that are there.

    Args:
        own: A document's own metadata.
        ours: What to add. Where `own` has any of its names, all of them are prefixed with `PREFIX`,
            as many times as it takes for none of them to be there.

    Returns:
        A new dict with the entries of both.
    """
    prefix = ""
    while any(prefix + name in own for name in ours):
        prefix += PREFIX
    return {**own, **{prefix + name: value for name, value in ours.items()}}


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
