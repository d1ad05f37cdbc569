"""DOCX, PPTX and XLSX, read by Mammoth, python-pptx and openpyxl."""

from __future__ import annotations

import datetime
import io
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InputError
from s3_retriever.files.extract import Builder, Extract, RawFile, needed
from s3_retriever.files.headings import sections
from s3_retriever.files.tables import table
from s3_retriever.files.web import html_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OLE = b"\xd0\xcf\x11\xe0"  # of old Office files, and of what encrypts new ones


def read_docx(file: RawFile) -> Extract:
    """Text as Markdown, without images; its headings are places.

    Raises:
        InputError: it is encrypted.
    """
    mammoth = needed("mammoth", "a DOCX")
    _check(file.data, "DOCX")
    found = mammoth.convert_to_html(
        io.BytesIO(file.data),
        convert_image=mammoth.images.img_element(lambda image: {"src": ""}),
    )
    text = html_text(found.value)
    places = sections(text)
    return Extract(text, {"section": places} if places else {})


def read_pptx(file: RawFile) -> Extract:
    """Titles, text, tables and notes of the slides, each a place.

    Raises:
        InputError: it is encrypted.
    """
    pptx = needed("pptx", "a PPTX")
    _check(file.data, "PPTX")
    slides = list(pptx.Presentation(io.BytesIO(file.data)).slides)
    built = Builder()
    for number, slide in enumerate(slides, start=1):
        built.add("\n\n".join(_shown(slide)), slide=number)
    return Extract(built.text, built.places)


def _shown(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    for shape in _in_order(slide.shapes):
        if shape.has_text_frame and (text := shape.text_frame.text.replace("\v", "\n").strip()):
            yield f"# {' '.join(text.split())}" if title is not None and shape == title else text
        elif getattr(shape, "has_table", False):
            yield table([cell.text for cell in row.cells] for row in shape.table.rows)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
        notes = frame.text.strip()
        if notes:
            yield f"Notes: {notes}"


def _in_order(shapes: Any) -> Iterator[Any]:
    """Shapes from the top down, those of groups in the place of their group."""
    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if hasattr(shape, "shapes"):
            yield from _in_order(shape.shapes)
        else:
            yield shape


def read_xlsx(file: RawFile) -> Extract:
    """Each sheet a Markdown table, with the values that formulas had when it was saved.

    Raises:
        InputError: it is encrypted.
    """
    openpyxl = needed("openpyxl", "an XLSX")
    _check(file.data, "XLSX")
    book = openpyxl.load_workbook(
        io.BytesIO(file.data), read_only=True, data_only=True, keep_links=False
    )
    sheets = [(sheet.title, _rows(sheet)) for sheet in book.worksheets]
    book.close()
    if not sheets:
        raise InputError("holds no sheet that can be read (strict Open XML); save it as plain XLSX")
    built = Builder()
    for name, rows in sheets:
        if text := table(rows):
            built.add(f"## {name}\n\n{text}", sheet=name)
    return Extract(built.text, built.places)


def _rows(sheet: Any) -> list[Sequence[str]]:
    sheet.reset_dimensions()  # some programs write wrong ones
    return [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    if isinstance(value, float):
        return f"{value:.15g}"  # as a sheet shows it: 0.1 + 0.2 is 0.3
    return str(value)


def _check(data: bytes, kind: str) -> None:
    if data.startswith(_OLE):
        raise InputError(
            f"is encrypted, or an old Office file; open it and save it as {kind} without a password"
        )
