"""Where a piece of text stands in its sources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3_retriever.labelled.sets import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def locate(
    text: str,
    sources: Mapping[str, str],
    among: Iterable[str] | None = None,
    start: object = None,
) -> Evidence | None:
    """Find the first occurrence of a piece of text in some sources.

    Args:
        text: The piece; it is searched for as it is, and then with white space made equal.
        sources: Texts by document id.
        among: Ids of the sources to look in, in this order; None for all.
        start: Where it is said to begin in the first of them. It is taken there where the same
            text stands there.

    Returns:
        Its characters, or None where no source holds it.
    """
    ids = list(sources if among is None else among)
    if ids and isinstance(start, int) and sources[ids[0]].startswith(text, start):
        return Evidence(ids[0], start, start + len(text))
    for id in ids:
        at = sources[id].find(text)
        if at >= 0 and text:
            return Evidence(id, at, at + len(text))
    pattern = re.compile(r"\s+".join(map(re.escape, text.split())) or r"(?!)")
    for id in ids:
        match = pattern.search(sources[id])
        if match:
            return Evidence(id, match.start(), match.end())
    return None
