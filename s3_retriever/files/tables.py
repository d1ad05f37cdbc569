"""Rows of cells as a Markdown table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first row is the header; rows and last columns without text are none.

    Args:
        rows: Cells; line ends in them become spaces.
    """
    kept = [cells for row in rows if any(cells := [" ".join(cell.split()) for cell in row])]
    if not kept:
        return ""
    width = max(number for row in kept for number, cell in enumerate(row, start=1) if cell)
    lines = [_line([*row[:width], *[""] * (width - len(row))]) for row in kept]
    return "\n".join([lines[0], _line(["---"] * width), *lines[1:]])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
