"""Tables whose cells are parted by bars: Markdown, and what databases print."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3_retriever.text.pieces import Block, Kind, Line
from s3_retriever.text.rows import row_cuts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RULE = re.compile(r"[\s>|+:]*[-=][-=:|+\s]*$")
_DEEPEST_HEADER = 4  # lines, rules included


def pipe_table(text: str, lines: Sequence[Line], first: int) -> Block | None:
    """The table that begins with a line, if one does: a header, a rule, and rows.

    A rule belongs to what is above it. Where rules of a grid stand between rows, a row is what
    stands between two of them.

    Args:
        text: Any text.
        lines: Its lines.
        first: Number of the line.
    """
    header = _header(text, lines, first)
    if header is None:
        return None
    stop = header + 1
    while stop < len(lines) and (_is_row(text, lines[stop]) or _is_rule(text, lines[stop])):
        stop += 1
    if stop == header + 1:
        return None
    found = [(lines[header].end, Kind.HEADER)]
    for row in _rows(text, lines, header + 1, stop):
        found += [(cut, Kind.ROW) for cut in row_cuts(text, *row)]
    return Block(stop, found)


def _header(text: str, lines: Sequence[Line], first: int) -> int | None:
    """The number of the rule below a header."""
    named = False
    for number in range(first, min(first + _DEEPEST_HEADER, len(lines))):
        if _is_rule(text, lines[number]):
            if named:
                return number
            if number > first:
                return None
        elif _is_row(text, lines[number]):
            named = True
        else:
            return None
    return None


def _is_rule(text: str, line: Line) -> bool:
    own = text[line.start : line.end]
    return ("|" in own or "+" in own) and bool(_RULE.match(own))


def _is_row(text: str, line: Line) -> bool:
    return text.find("|", line.start, line.end) >= 0


def _rows(text: str, lines: Sequence[Line], first: int, stop: int) -> Iterator[tuple[int, int]]:
    rules = {number for number in range(first, stop) if _is_rule(text, lines[number])}
    grid = text[slice(*lines[first - 1])].lstrip(" \t>").startswith("+")
    ruled = grid and bool(rules - {stop - 1})
    start = lines[first].start
    for number in range(first, stop):
        below = number + 1
        if below < stop and (below in rules or (ruled and number not in rules)):
            continue
        yield start, lines[number].end
        start = lines[number].end
