"""Sections of Markdown by its headings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(r"^ {0,3}(?:(?P<fence>```+|~~~+)|(?P<level>#{1,6})[ \t]+(?P<name>[^\n]+))", re.M)
_MARKS = re.compile(r"[*_`]+|\s*#+\s*$|\[([^\]]*)\]\([^)]*\)")
_LONGEST = 80


def sections(text: str) -> list[tuple[int, str]]:
    """Where sections begin, and their names with those of the sections they lie in.

    Args:
        text: Markdown; lines within code fences are no headings.

    Returns:
        In order: the first character of a heading, and names such as ``"Terms > Notice"``.
    """
    return list(_sections(text))


def _sections(text: str) -> Iterator[tuple[int, str]]:
    above: list[tuple[int, str]] = []
    fence = ""
    for line in _LINE.finditer(text):
        if mark := line["fence"]:
            fence = "" if fence and mark.startswith(fence) else fence or mark
        elif not fence and (name := _plain(line["name"])):
            level = len(line["level"])
            above = [pair for pair in above if pair[0] < level]
            above.append((level, name))
            yield line.start(), " > ".join(name for _, name in above)


def _plain(heading: str) -> str:
    name = " ".join(_MARKS.sub(lambda match: match[1] or "", heading).split())
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
