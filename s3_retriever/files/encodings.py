"""Text from bytes: UTF-8, what a byte order mark says, or a guess that is told."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import TYPE_CHECKING

from charset_normalizer import from_bytes

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

_MARKS = (  # the longer ones first: that of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = "cp1252"
_ITS_LANGUAGES = """
English French German Spanish Italian Portuguese Dutch Danish Swedish Norwegian Finnish Indonesian
Unknown
"""
_SHORT = 40  # bytes; fewer tell nothing of their language
_CHAOS, _COHERENCE = 0.1, 0.15  # of charset-normalizer's measures, by which a rarer one may win

_MAINFRAME = ["cp037", "cp273", "cp424", "cp500", "cp875", "cp1006", "cp1026", "cp1140", "utf_7"]
"""Encodings that no file of today is in, and short texts look like."""

_WIDE = ("utf_16", "utf_32")


def decode(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Decode text as it stands, line ends included, a byte order mark left out.

    What is not UTF-8 and has no mark is guessed by its characters and its language, by
    charset-normalizer; where that finds Western European in an encoding that is rare for it, and
    CP1252, the most common, fits as well, the latter is taken.

    Args:
        data: The bytes.
        encoding: In which they are; None to find out.

    Returns:
        The text, and the name of the encoding if it was guessed, else an empty one.

    Raises:
        InputError: an unknown encoding, or it is another; or the bytes are no text.
    """
    if encoding is not None:
        return _decode_as(data, encoding), ""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decode_as(data, name), ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _guessed(data)
    if "\0" in text:
        return _guessed(data)
    return text, ""


def _decode_as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise InputError(
            f"has no encoding {encoding!r} that Python knows; see: iconv -l"
        ) from error
    except UnicodeError as error:
        raise InputError(f"is not {encoding}: {error}; give another --encoding") from error


def _guessed(data: bytes) -> tuple[str, str]:
    if len(data) < _SHORT and _is_mostly_latin(data) and not min(data) < ord("\t"):
        with suppress(UnicodeDecodeError):
            return data.decode(_WESTERN), _WESTERN
    best = from_bytes(data, cp_exclusion=_MAINFRAME).best()
    if best is None or not _is_text(data, best):
        raise InputError(
            "is no text: it is binary, or in an encoding that cannot be told; leave it out, or "
            "name the encoding, --encoding NAME"
        )
    name = _WESTERN if _may_be_western(data, best) else best.encoding
    return data.decode(name), name.replace("_", "-")


def _is_mostly_latin(data: bytes) -> bool:
    """Whether no more bytes are beyond ASCII than are its letters."""
    return sum(byte > 127 for byte in data) <= sum(bytes([byte]).isalpha() for byte in data)


def _is_text(data: bytes, best: CharsetMatch) -> bool:
    """Whether zero bytes are halves of wide characters, and wide characters those of a text."""
    if not best.encoding.startswith(_WIDE):
        return b"\0" not in data
    text = str(best)
    return 2 * sum(
        sign.isascii() and (sign.isprintable() or sign.isspace()) for sign in text
    ) > len(text)


def _may_be_western(data: bytes, best: CharsetMatch) -> bool:
    """Whether CP1252 fits about as well as what was found, and is the likelier."""
    if best.language not in _ITS_LANGUAGES.split() or not _is_mostly_latin(data):
        return False
    western = from_bytes(data, cp_isolation=[_WESTERN], threshold=1.0).best()
    return (
        western is not None
        and western.chaos <= best.chaos + _CHAOS
        and western.coherence >= best.coherence - _COHERENCE
    )
