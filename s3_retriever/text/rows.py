"""What rows of all kinds of tables share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3_retriever.text.pieces import WHOLE
from s3_retriever.text.prose import prose

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DATUM = re.compile(r"\W*\d[\d\s.,:/%TZ+-]*\W*\w{0,3}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_LONGEST_NAME = 60


def row_cuts(text: str, start: int, end: int) -> Iterable[int]:
    """The ends of the pieces of a row: its own, where it is not too long."""
    return [end] if end - start <= WHOLE else prose(text, start, end)


def is_header(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether cells name the columns of rows.

    They do where all are short, different, and no data: numbers and dates are, but for years beside
    words. A name does not come again in its column. The first, of an index, may be empty.

    Args:
        cells: Of the first row.
        rows: Some that follow.
    """
    names = [cell.strip() for cell in cells]
    if not all(names[1:]) or len({name.casefold() for name in names}) < len(names):
        return False
    if any(len(name) > _LONGEST_NAME for name in names):
        return False
    data = [name for name in names if _DATUM.fullmatch(name)]
    if data and (len(data) == len(names) or not all(map(_YEAR.fullmatch, data))):
        return False
    again = (name == row[n].strip() for row in rows for n, name in enumerate(names[: len(row)]))
    return not any(again)


def has_data(rows: Sequence[Sequence[str]]) -> bool:
    """Whether some column of rows holds nothing but numbers and dates."""
    columns = zip(*rows, strict=False)
    return any(all(_DATUM.fullmatch(cell.strip()) for cell in column) for column in columns)
