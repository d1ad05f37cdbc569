"""Cut a text into pieces that tile it: sentences, rows of tables, records, lines of code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.text.delimited import delimited_table
from s3_retriever.text.fences import closed_by, code_cuts
from s3_retriever.text.pieces import Block, Cut, Kind, Line
from s3_retriever.text.pipe_tables import pipe_table
from s3_retriever.text.prose import MAX_CHARACTERS, MIN_CHARACTERS, prose
from s3_retriever.text.records import json_value

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCES = "`~>"

Plain = Callable[[str, Sequence[Line]], Iterable[Cut]]


class Piece(NamedTuple):
    """A piece of a text, and what it is."""

    start: int
    end: int
    kind: Kind


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the character ranges of the pieces of `text`, in order.

    The ranges tile the text: each begins where the one before it ends, the first at 0 and the
    last at ``len(text)``; white space after a sentence belongs to it. No sentence of prose is
    longer than `s3_retriever.text.prose.MAX_CHARACTERS`; see `pieces` for what is not prose.
    """
    return [(start, end) for start, end, _ in pieces(text)]


def pieces(text: str) -> list[Piece]:
    """Cut a text into sentences, and what is not prose between its rows, records and lines.

    A row of a table (Markdown, or cells parted by commas, semicolons, tabs or bars), a record of
    JSON, and code between fences are pieces whole, up to
    `s3_retriever.text.pieces.WHOLE` characters; longer code is cut between lines, longer
    JSON between members, and longer rows as prose is. A header is one whatever its length.
    """
    found: list[Piece] = []
    start = 0
    lines = [Line(*match.span()) for match in _LINE.finditer(text)]
    for end, kind in _tiled(text, lines, _sentences, fences=True):
        found.append(Piece(start, end, kind))
        start = end
    return found


def header_at(text: str, start: int) -> str:
    """What names the columns of the table in a row of which a character stands; empty elsewhere."""
    header = slice(0, 0)
    for piece in pieces(text):
        if piece.kind == Kind.HEADER:
            header = slice(*trim(text, piece.start, piece.end))
        if piece.start <= start < piece.end:
            return text[header] if piece.kind == Kind.ROW else ""
    return ""


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Shrink a character range so that it neither begins nor ends with white space."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _sentences(text: str, lines: Sequence[Line]) -> Iterator[Cut]:
    for end in prose(text, lines[0].start, lines[-1].end):
        yield end, Kind.PROSE


def _tiled(text: str, lines: Sequence[Line], plain: Plain, fences: bool) -> list[Cut]:
    """Cut lines: the blocks among them as they are to be cut, and what is between them plainly."""
    found: list[Cut] = []
    begun = number = 0
    while number < len(lines):
        block = _block(text, lines, number, fences)
        if block is None:
            number += 1
            continue
        _fill(found, text, lines[begun:number], plain, last=False)
        found += block.cuts
        begun = number = block.stop
    _fill(found, text, lines[begun:], plain, last=True)
    return found


def _fill(found: list[Cut], text: str, lines: Sequence[Line], plain: Plain, last: bool) -> None:
    """Cut what is between blocks; white space joins what is before it, a short end what follows."""
    if not lines:
        return
    start, end = lines[0].start, lines[-1].end
    if found and not text[start:end].strip():
        found[-1] = end, found[-1][1]
        return
    found += plain(text, lines)
    before = found[-2][0] if len(found) > 1 else start
    if not last and end - before < MIN_CHARACTERS:
        found.pop()


def _block(text: str, lines: Sequence[Line], first: int, fences: bool) -> Block | None:
    """What begins with a line and is not plain."""
    own = text[slice(*lines[first])].lstrip()
    if not own:
        return None
    if fences and own[0] in _FENCES and (close := closed_by(text, lines, first)) is not None:
        return _fenced(text, lines[first : close + 1], close + 1)
    if own[0] in "{[" and (found := json_value(text, lines, first)):
        return found
    if (own[0] == "+" or "|" in own) and (found := pipe_table(text, lines, first)):
        return found
    return delimited_table(text, lines, first)


def _fenced(text: str, lines: Sequence[Line], stop: int) -> Block:
    """Code with its fences, which share pieces with it."""
    start, end = lines[0].start, lines[-1].end
    short = end - start <= MAX_CHARACTERS
    cuts = [] if short else _tiled(text, lines[1:-1], code_cuts, fences=False)
    return Block(stop, [*cuts[:-1], (end, cuts[-1][1] if cuts else Kind.PROSE)])
