"""Formats of documents: how the bytes of a file become its text.

To add a format, write a function from bytes to text in a file of this folder, and name it in
`FORMATS` with its suffix.
"""

from __future__ import annotations

import codecs
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_KINDS = (
    (b"%PDF-", "is a PDF", "pdftotext {file} - | s3-retriever index - --name {name} -o INDEX"),
    (
        b"PK\x03\x04",
        "is a zip file, as DOCX, ODT and EPUB are",
        "pandoc -t plain {file} | s3-retriever index - --name {name} -o INDEX",
    ),
    (
        b"{\\rtf",
        "is RTF",
        "pandoc -f rtf -t plain {file} | s3-retriever index - --name {name} -o INDEX",
    ),
)


def decoded(data: bytes, given: str) -> str:
    """Decode text as it stands, line ends included.

    Args:
        data: Of a file, or of standard input.
        given: The path as it was given, ``-`` for standard input.

    Raises:
        InputError: it is not UTF-8; the message says what was seen and what to type.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(_seen(data, given, error.start)) from error


def _seen(data: bytes, given: str, place: int) -> str:
    file, name = shlex.quote(given), shlex.quote(Path(given).name)
    for start, seen, advice in _KINDS:
        if data.startswith(start):
            return f"{seen}, not text; type: {advice.format(file=file, name=name)}"
    if data.startswith(_UTF_16):
        return _convert("is UTF-16, not UTF-8", "UTF-16", given)
    if b"\0" in data:
        return "is no text: it holds zero bytes; leave it out, or extract its text first"
    seen = f"is not UTF-8: byte {place} is 0x{data[place]:02X}, as in older Western text"
    return _convert(seen, "CP1252" if _decodes(data, "cp1252") else "ISO-8859-1", given)


def _convert(seen: str, encoding: str, given: str) -> str:
    if given == "-":
        return f"{seen}; put in front: iconv -f {encoding} -t UTF-8 |"
    path = Path(given)
    target = path.with_name(f"{path.stem}.utf8{path.suffix}")
    words = f"iconv -f {encoding} -t UTF-8 {shlex.quote(given)} > {shlex.quote(str(target))}"
    return f"{seen}; type: {words}"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


FORMATS: dict[str, Callable[[bytes, str], str]] = dict.fromkeys(
    (".txt", ".md", ".markdown", ".rst", ".text"), decoded
)
"""For each suffix, in lower case, what makes text of a file's bytes. It is called with the bytes
and the path as it was given, and raises `InputError` with what to do where it cannot."""
