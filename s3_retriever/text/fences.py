"""Code between fences, as Markdown has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3_retriever.text.pieces import WHOLE, Kind, Line
from s3_retriever.text.prose import MAX_CHARACTERS, MIN_CHARACTERS, cuts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FENCE = re.compile(r"[ \t>]*(`{3,}(?=[^`]*$)|~{3,})")


def closed_by(text: str, lines: Sequence[Line], first: int) -> int | None:
    """The number of the line that closes the fence that a line opens; None where it opens none.

    Args:
        text: Any text.
        lines: Its lines.
        first: Number of the line.
    """
    mark = _mark(text, lines[first])
    if not mark:
        return None
    for number in range(first + 1, len(lines)):
        own = _mark(text, lines[number])
        if own.startswith(mark) and not text[slice(*lines[number])].strip(" \t>\r\n" + mark[0]):
            return number
    return None


def _mark(text: str, line: Line) -> str:
    found = _FENCE.match(text[slice(*line)].rstrip())
    return found[1] if found else ""


def code_cuts(text: str, lines: Sequence[Line]) -> Iterator[tuple[int, Kind]]:
    """Cut lines of code: none that is not too long is parted; short ones join those that follow.

    Args:
        text: Any text.
        lines: At least one of its lines.
    """
    start, end = lines[0].start, lines[-1].end
    if end - start <= MAX_CHARACTERS:
        yield end, Kind.PROSE
        return
    for line in lines:
        if line.end - start < MIN_CHARACTERS and line.end < end:
            continue
        for cut in [line.end] if line.end - start <= WHOLE else cuts(text, start, line.end):
            yield cut, Kind.PROSE
        start = line.end
