"""Cut a text into sentences that tile it exactly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS = 320
"""A longer sentence is cut after a clause or a space or, failing both, anywhere."""

MIN_CHARACTERS = 24
"""A shorter piece ("Yes.", a heading) joins the one that follows it."""

_BREAK = re.compile(
    r"\n\s*"  # a line end, blank lines with it
    r"|(?<=[。！？।])(?:\s*\n\s*)?"  # full stops of scripts that need no space after them
    r"|(?<=[.!?…؟])[\"'”’»)\]]*\s+"
)
_ABBREVIATION = re.compile(
    r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|vs|No|Nos|Jr|Sr|Co|Inc|Ltd|Prof|Gen|Fig|Eq|pp|cf|e\.g|i\.e)"
    r"|\b(?:[A-Z]\.)+[A-Z])\.$"
)
_LOOK_BACK = 8
_WRAPPED_LINE = 50  # a line that is shorter was not filled, so it ends where it means to
_CONTINUATION = re.compile(r"[^\W_]|\(")
_ITEM = re.compile(r"(?:\d+|[A-Za-z])[.)]\s|[^\s:]+(?: [^\s:]+)?:\s")
_CLAUSE = re.compile(r"[,;:—–]\s+|\s+")


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the character ranges of the sentences of `text`, in order.

    The ranges tile the text: each begins where the one before it ends, the first at 0 and the
    last at ``len(text)``; white space after a sentence belongs to it. No range is longer than
    `MAX_CHARACTERS`.
    """
    pieces: list[tuple[int, int]] = []
    start = 0
    for end in [*_breaks(text), len(text)]:
        if end - start < MIN_CHARACTERS and end < len(text):
            continue
        pieces.extend(_cut(text, start, end))
        start = end
    return pieces


def _breaks(text: str) -> Iterator[int]:
    for match in _BREAK.finditer(text):
        before = text[max(match.start() - _LOOK_BACK, 0) : match.start()]
        lines = match.group().count("\n")
        if lines > 1 or (
            not _is_wrapped(text, match) if lines else not _ABBREVIATION.search(before)
        ):
            yield match.end()


def _is_wrapped(text: str, match: re.Match[str]) -> bool:
    """Whether a line end only fills a page: a long line without a stop, and prose after it."""
    start, end = match.span()
    line = text[max(text.rfind("\n", 0, start) + 1, start - 4 * MAX_CHARACTERS) : start].rstrip()
    return (
        len(line.lstrip()) >= _WRAPPED_LINE
        and line[-1] not in ".!?…:;|。！？।؟"
        and bool(_CONTINUATION.match(text, end))
        and not _ITEM.match(text, end)
    )


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut one over-long piece near equal parts, at the last clause end or space that fits."""
    while end - start > MAX_CHARACTERS:
        limit = start + MAX_CHARACTERS
        cuts = [m.end() for m in _CLAUSE.finditer(text, start + MAX_CHARACTERS // 2, limit)]
        clauses = [cut for cut in cuts if text[cut - 2 : cut - 1] in ",;:—–"]
        cut = (clauses or cuts or [limit])[-1]
        yield start, cut
        start = cut
    if end > start:
        yield start, end


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Shrink a character range so that it neither begins nor ends with white space."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
