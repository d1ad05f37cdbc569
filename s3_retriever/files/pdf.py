"""PDF, read by PDFium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InputError
from s3_retriever.files.extract import Builder, Extract, RawFile, needed

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED = 10
_LINE_END_HYPHEN = "\ufffe"  # what PDFium puts for a hyphen that only parts a word at a line's end


def read(file: RawFile) -> Extract:
    """Text of all pages, each a place.

    Raises:
        InputError: it is encrypted, or no page has text.
    """
    pdfium = needed("pypdfium2", "a PDF")
    try:
        with pdfium.PdfDocument(file.data) as document:
            title = str(document.get_metadata_value("Title") or "").strip()
            pages = [_text(page) for page in document]
    except pdfium.PdfiumError as error:
        if "password" not in str(error).lower():
            raise
        raise InputError(
            f"is encrypted; type: qpdf --password=... --decrypt {file.quoted} OUTPUT.pdf, and "
            "index that"
        ) from error
    bare = [number for number, text in enumerate(pages, start=1) if not text.strip()]
    if len(bare) == len(pages):
        raise InputError(
            f"has no text on any page, as scanned ones have not; type: ocrmypdf "
            f"{file.quoted} OUTPUT.pdf, and index that"
        )
    built = Builder()
    for number, text in enumerate(pages, start=1):
        built.add(text, page=number)
    note = f"{_some(bare)} hold{'s' * (len(bare) == 1)} no text; scanned?" if bare else ""
    return Extract(built.text, built.places, title, note=note)


def _text(page: Any) -> str:
    found = page.get_textpage()
    text = str(found.get_text_range())
    found.close()
    page.close()
    return text.replace("\r\n", "\n").replace(_LINE_END_HYPHEN, "").replace("\0", "")


def _some(pages: Sequence[int]) -> str:
    named = ", ".join(map(str, pages[:_NAMED]))
    more = f" and {len(pages) - _NAMED} more" if len(pages) > _NAMED else ""
    return f"page{'s' * (len(pages) > 1)} {named}{more}"
