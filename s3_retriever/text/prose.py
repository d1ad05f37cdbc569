"""Cut prose at the ends of its sentences."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS = 320
"""A longer sentence is cut after a clause, a space or a mark or, failing all, anywhere. In Latin
letters; see `density`."""

MIN_CHARACTERS = 24
"""A shorter piece ("Yes.", a heading) joins the one that follows it."""

_BREAK = re.compile(
    r"\n\s*"  # a line end, blank lines with it; then full stops that need no space after them
    r"|(?<=[\u3002\uff01\uff1f\uff61\u0964\u0965\u1362\u17d4\u104b\u0f0d])(?:\s*\n\s*)?"
    r"|(?<=[.!?…؟\u06d4\u0589])[\"'”’»)\]]*\s+"
)
_ABBREVIATION = re.compile(
    r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|vs|No|Nos|Jr|Sr|Co|Inc|Ltd|Prof|Gen|Fig|Eq|pp|cf|e\.g|i\.e)"
    r"|\b(?:[A-Z]\.)+[A-Z])\.$"
)
_LOOK_BACK = 8
_WRAPPED_LINE = 50  # a line that is shorter was not filled, so it ends where it means to
_CONTINUATION = re.compile(r"[^\W_]|\(")
_ITEM = re.compile(r"(?:\d+|[A-Za-z])[.)]\s|[^\s:]+(?: [^\s:]+)?:\s")
_CLAUSE = re.compile(r"[,;:—–،؛]\s+|\s+|[、，；：]\s*")
_MARK = re.compile(r"[^\w\s]+")
_DENSE = re.compile(r"[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff]")  # Thai to Burmese, Khmer
_DENSEST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")  # CJK
_SCRIPT_SEEN = 1000
_JOINER = "\u200d"


def prose(text: str, start: int, end: int) -> Iterator[int]:
    """The ends of the sentences of a part of a text; the last is the part's own.

    Args:
        text: Any text.
        start: First character of the part.
        end: One past its last.
    """
    part = text[start:end]
    at = 0
    for stop in [*_breaks(part), len(part)]:
        if stop < len(part) and (stop - at) * density(part[at:stop]) < MIN_CHARACTERS:
            continue
        for cut in cuts(part, at, stop):
            yield start + cut
        at = stop


def density(text: str) -> int:
    """How many Latin letters a character of a text stands for: 3 of Chinese, Japanese and Korean.

    2 of scripts that put no space between words; what most of a text is written in counts.
    """
    if text.isascii():
        return 1
    some = text[:_SCRIPT_SEEN]
    for times, script in ((3, _DENSEST), (2, _DENSE)):
        if 2 * len(script.findall(some)) > len(some):
            return times
    return 1


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


def cuts(text: str, start: int, end: int) -> Iterator[int]:
    """Where to cut an over-long piece, its own end the last.

    Near equal parts, at the last clause end that fits, else at a space, else behind a mark, so that
    no word is cut that is shorter than `MAX_CHARACTERS`.
    """
    while end - start > (most := MAX_CHARACTERS // density(text[start:end])):
        start = _cut(text, start, most)
        yield start
    if end > start:
        yield end


def _cut(text: str, start: int, most: int) -> int:
    limit = start + most
    spaces = [m.end() for m in _CLAUSE.finditer(text, start + most // 2, limit)]
    clauses = [cut for cut in spaces if text[cut - 2 : cut - 1] in ",;:—–،؛、，；："]
    if spaces:
        return (clauses or spaces)[-1]
    for border in (_CLAUSE, _MARK):
        found = [m.end() for m in border.finditer(text, start + MIN_CHARACTERS, limit)]
        if found:
            return found[-1]
    return _between_characters(text, limit)


def _between_characters(text: str, place: int) -> int:
    """The place, or one a little before it that parts no mark from the letter that it stands on."""
    for cut in range(place, place - MIN_CHARACTERS, -1):
        joined = text[cut] == _JOINER or text[cut - 1] == _JOINER
        if not joined and not unicodedata.category(text[cut]).startswith("M"):
            return cut
    return place
