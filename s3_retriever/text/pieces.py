"""What a text is cut into: sentences of prose, rows of tables, records."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

WHOLE = 800
"""Characters up to which a row or a record is kept whole; a longer one is cut as prose is."""


class Kind(IntEnum):
    """What a piece is.

    Attributes:
        PROSE: A sentence, a line of code, what stands between records.
        HEADER: The names of the columns of a table.
        ROW: A row, or a part of a long one, of the last header before it.
        RECORD: A record that needs no header: of JSON, or of a table without one.
    """

    PROSE = 0
    HEADER = 1
    ROW = 2
    RECORD = 3


class Line(NamedTuple):
    """A line of a text, its end included."""

    start: int
    end: int


Cut = tuple[int, Kind]
"""Where a piece ends, and what it is."""


class Block(NamedTuple):
    """Some lines that are cut otherwise than prose.

    Attributes:
        stop: Number of the first line behind it.
        cuts: Ends of its pieces and their kinds, in order; the last is the end of its last line.
    """

    stop: int
    cuts: list[Cut]
