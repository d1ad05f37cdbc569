"""Records of JSON, whether on lines of their own, indented or without white space."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.text.pieces import WHOLE, Block, Cut, Kind, Line
from s3_retriever.text.prose import MAX_CHARACTERS, cuts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]')
_LIST = re.compile(r"\[\s*[\[{]")  # of records
_SPACE = re.compile(r"\s*")
_END = re.compile(r"[,;]?[^\S\n]*(?:\n|$)")
_OPEN, _CLOSE = "{[", "}]"

_DECODER = json.JSONDecoder()


class _Member(NamedTuple):
    """A member of an object or an array.

    Attributes:
        start: Its first character, that of its name where it has one.
        value: That of its value.
        end: One past its last.
        next: Where the next one starts; None for the last.
    """

    start: int
    value: int
    end: int
    next: int | None


def json_value(text: str, lines: Sequence[Line], first: int) -> Block | None:
    """The JSON object or array that begins with a line and ends with one, if any does.

    Args:
        text: Any text.
        lines: Its lines.
        first: Number of the line.
    """
    at = _SPACE.match(text, lines[first].start)
    start = lines[first].start if at is None else at.end()
    try:
        _, end = _DECODER.raw_decode(text, start)
        inner = list(_inner(text, start, end))
    except (ValueError, RecursionError):
        return None
    behind = _END.match(text, end)
    if behind is None:
        return None
    last = bisect_left(lines, behind.end(), first, key=lambda line: line.end)
    rest = Kind.PROSE if inner and inner[-1][1] == Kind.PROSE else Kind.RECORD
    return Block(last + 1, [*inner, (lines[last].end, rest)])


def _inner(text: str, start: int, end: int) -> Iterator[Cut]:
    record = text[start] == "{" and not _LIST.search(text, start, end)
    if end - start > (WHOLE if record else MAX_CHARACTERS):
        yield from _opened(text, start)


def _opened(text: str, start: int) -> Iterator[Cut]:
    """Where to cut an object or an array, its own end left out.

    An object or an array in it is a piece for itself, or, where it is too long, cut as well; what
    is neither shares pieces as far as it fits. A record, in an array, may be longer than others.
    """
    begun, most = start, WHOLE if text[start] == "[" else MAX_CHARACTERS
    packed = False
    for member in _members(text, start):
        size, end = member.end - member.value, member.next or member.end
        nested = text[member.value] in _OPEN
        alone = nested or size > MAX_CHARACTERS
        if packed and (alone or end - begun > MAX_CHARACTERS):
            yield member.start, Kind.PROSE
            begun, packed = member.start, False
        if nested and size > most:
            yield from _opened(text, member.value)
        elif alone and not nested:
            inside = (cut for cut in cuts(text, member.value, member.end) if cut < member.end)
            yield from ((cut, Kind.PROSE) for cut in inside)
        if alone and member.next is not None:
            yield member.next, Kind.RECORD if nested else Kind.PROSE
            begun = member.next
        packed = not alone


def _members(text: str, start: int) -> Iterator[_Member]:
    """The members of the object or array that opens at a character."""
    named, depth = text[start] == "{", 0
    begun = value = _past_space(text, start + 1)
    for token in _TOKEN.finditer(text, start + 1):
        mark = token[0]
        if depth == 0 and mark[0] == '"' and named and token.start() == begun:
            value = _past_space(text, _past_space(text, token.end()) + 1)  # the colon
        elif mark in _OPEN:
            depth += 1
        elif depth and mark in _CLOSE:
            depth -= 1
        elif mark in _CLOSE:
            if token.start() > begun:
                yield _Member(begun, value, token.start(), None)
            return
        elif mark == "," and depth == 0:
            after = _past_space(text, token.end())
            yield _Member(begun, value, token.start(), after)
            begun = value = after


def _past_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return start if found is None else found.end()
