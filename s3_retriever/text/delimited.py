"""Tables of cells parted by commas, semicolons, tabs or bars, as Python's csv module reads them."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.text.pieces import Block, Kind, Line
from s3_retriever.text.rows import has_data, is_header, row_cuts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MARKS = ",\t;|"
_SPACED = {mark: re.compile(rf"[{mark}]\s") for mark in ",;|"}
_FEWEST = 3
"""Records that make a table."""

_LONGEST = 200  # lines of a record; one that is longer is an open quotation mark
_ODD = 0.1
_SEEN = 20


class _Record(NamedTuple):
    """Cells, and the lines that they stand in: from the first to the one behind the last."""

    cells: list[str]
    first: int
    stop: int


def delimited_table(text: str, lines: Sequence[Line], first: int) -> Block | None:
    """The table that begins with a line, if one does.

    The records of a table have as many cells as its first, but for one in ten; a blank line ends
    it, unless one stands behind every record. Where the first does not name the columns, there is
    no header.

    Args:
        text: Any text.
        lines: Its lines.
        first: Number of the line.
    """
    own = text[slice(*lines[first])]
    below = "".join(text[slice(*line)] for line in lines[first + 1 : first + 3])
    for mark in _MARKS:
        if mark in own and (mark in below or '"' in own):
            records = _table(text, lines, first, mark)
            if records:
                return _block(text, lines, records)
    return None


def _block(text: str, lines: Sequence[Line], records: Sequence[_Record]) -> Block:
    rows = [record.cells for record in records[1 : _SEEN + 1]]
    named = is_header(records[0].cells, rows)
    cuts = [(_end(lines, records, 0), Kind.HEADER)] if named else []
    kind = Kind.ROW if named else Kind.RECORD
    for number in range(len(cuts), len(records)):
        start, end = lines[records[number].first].start, _end(lines, records, number)
        cuts += [(cut, kind) for cut in row_cuts(text, start, end)]
    return Block(records[-1].stop, cuts)


def _end(lines: Sequence[Line], records: Sequence[_Record], number: int) -> int:
    """The end of a record, blank lines behind it included."""
    last = number + 1 == len(records)
    return lines[(records[number].stop if last else records[number + 1].first) - 1].end


def _table(text: str, lines: Sequence[Line], first: int, mark: str) -> list[_Record]:
    found: list[_Record] = []
    odd, double, blank = 0, False, False
    for record in _records(text, lines, first, mark):
        if not record.cells:
            blank = True
            continue
        double = double or (blank and len(found) == 1)
        if found and blank != double:
            break
        blank = False
        if not found and not _can_begin(record.cells, mark):
            break
        if found and len(record.cells) != len(found[0].cells):
            odd += 1
            if odd > _ODD * len(found):
                break
        found.append(record)
    while found and len(found[-1].cells) != len(found[0].cells):
        found.pop()
    return found if _is_table(text, lines, found, mark) else []


def _can_begin(cells: Sequence[str], mark: str) -> bool:
    begun = bool(cells[0].strip()) or mark == ","  # the column of an index has no name
    named = all(any(map(str.isalnum, cell)) for cell in cells if cell.strip())
    return len(cells) > 1 and begun and bool(cells[-1].strip()) and named


def _is_table(text: str, lines: Sequence[Line], found: Sequence[_Record], mark: str) -> bool:
    """Whether records make one.

    In prose, white space follows the marks: what looks so needs a header and a column of data.
    """
    if len(found) < _FEWEST:
        return False
    some = found[:_SEEN]
    seen = text[lines[some[0].first].start : lines[some[-1].stop - 1].end]
    spaced = mark in _SPACED and 2 * len(_SPACED[mark].findall(seen)) > seen.count(mark)
    rows = [record.cells for record in some[1:]]
    return not spaced or (is_header(some[0].cells, rows) and has_data(rows))


def _records(text: str, lines: Sequence[Line], first: int, mark: str) -> Iterator[_Record]:
    """Records from a line on; one without cells is a blank line."""
    before = first

    def unread() -> Iterator[str]:
        for number in range(first, len(lines)):
            if number - before > _LONGEST:
                return
            yield text[slice(*lines[number])]

    reader = csv.reader(unread(), delimiter=mark, strict=True)
    with suppress(csv.Error):
        for cells in reader:
            stop = first + reader.line_num
            if stop - before > _LONGEST:
                return
            yield _Record(cells, before, stop)
            before = stop
