"""Subtitles, read by pysubs2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.files.extract import Extract, RawFile, needed

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENDS = (".", "!", "?", "…", "。", "！", "？", "♪", '"', "”")
_PAUSE = 2000  # milliseconds of silence after which something else is said


def read(file: RawFile) -> Extract:
    """What is said, a sentence to a line; the time of each cue is a place."""
    pysubs2 = needed("pysubs2", "subtitles")
    text, assumed = file.decoded()
    cues = pysubs2.SSAFile.from_string(text)
    said, times = _joined([cue for cue in cues if not cue.is_comment])
    return Extract(said, {"time": times}, assumed=assumed)


def _joined(cues: Sequence[Any]) -> tuple[str, list[tuple[int, str]]]:
    said, times, end = "", [], 0
    pieces: list[str] = []
    length = 0
    for cue in cues:
        words = " ".join(cue.plaintext.split())
        if not words:
            continue
        if said:
            gap = "\n" if said.endswith(_ENDS) or cue.start - end > _PAUSE else " "
            pieces.append(gap)
            length += 1
        times.append((length, _clock(cue.start)))
        pieces.append(words)
        length += len(words)
        said, end = words, cue.end
    return "".join(pieces), times


def _clock(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
