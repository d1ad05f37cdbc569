"""HTML and EPUB, read by Beautiful Soup and markdownify."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from s3_retriever.errors import InputError
from s3_retriever.files.encodings import decode
from s3_retriever.files.extract import Builder, Extract, RawFile, needed
from s3_retriever.files.headings import sections

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_TEXT = ["script", "style", "template", "noscript", "svg", "math", "nav", "iframe", "head"]
_BLANK = re.compile(r"[ \t]+$|\n(?:[ \t]*\n){2,}", re.M)


def read_html(file: RawFile) -> Extract:
    """Text of a page as Markdown, without scripts, styles, menus, images, links and emphasis."""
    markup, assumed = _markup(file)
    soup = _soup(markup)
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    text = _markdown(soup)
    if title and title not in text:
        text = f"{title}\n\n{text}"
    return Extract(text, _sections(text), title, assumed)


def _markup(file: RawFile) -> tuple[str, str]:
    """A page in the encoding that it names, if it is in that; and the one that was guessed."""
    bs4 = needed("bs4", "HTML")
    named = file.encoding or bs4.dammit.EncodingDetector.find_declared_encoding(file.data, True)
    try:
        return decode(file.data, named)
    except InputError:
        if file.encoding:
            raise
        return decode(file.data)


def html_text(markup: str | bytes) -> str:
    """Text of a page, or of a piece of one, as Markdown."""
    return _markdown(_soup(markup))


def _soup(markup: str | bytes) -> Any:
    return needed("bs4", "HTML").BeautifulSoup(markup, "lxml")


def _markdown(soup: Any) -> str:
    markdownify = needed("markdownify", "HTML")
    for element in soup(_NO_TEXT):
        element.decompose()
    page = markdownify.MarkdownConverter(
        heading_style="ATX",
        bullets="-",
        strip=["a", "img", "b", "strong", "i", "em", "u"],
        table_infer_header=True,
        escape_asterisks=False,
        escape_underscores=False,
        escape_misc=False,
    )
    try:
        text = str(page.convert_soup(soup))
    except RecursionError:  # nested thousands deep
        text = soup.get_text("\n", strip=True)
    return _BLANK.sub(lambda gap: "\n\n" if "\n" in gap[0] else "", text).strip()


def _sections(text: str) -> dict[str, list[tuple[int, Any]]]:
    found = sections(text)
    return {"section": list(found)} if found else {}


def read_epub(file: RawFile) -> Extract:
    """Text of a book as Markdown, its chapters in the order in which they are read.

    Raises:
        InputError: its chapters are encrypted.
    """
    with zipfile.ZipFile(io.BytesIO(file.data)) as book:
        title, author, chapters = _book(book)
    built = Builder()
    built.add("\n".join(filter(None, (title, author))))
    for chapter in chapters:
        built.add(chapter)
    return Extract(built.text, _sections(built.text), title)


def _book(book: zipfile.ZipFile) -> tuple[str, str, list[str]]:
    bs4 = needed("bs4", "an EPUB")
    container = bs4.BeautifulSoup(book.read("META-INF/container.xml"), "xml")
    place = str(container.find("rootfile")["full-path"])
    package = bs4.BeautifulSoup(book.read(place), "xml")
    items = {item["id"]: item["href"] for item in package.find_all("item")}
    spine = [items[ref["idref"]] for ref in package.find_all("itemref") if ref["idref"] in items]
    names = [posixpath.normpath(posixpath.join(posixpath.dirname(place), it)) for it in spine]
    locked = set(_encrypted(book))
    present = set(book.namelist())
    found = [name if name in present else unquote(name) for name in names]
    if locked & set(found):
        raise InputError("is encrypted (digital rights management); it cannot be read")
    author = ", ".join(node.get_text(" ", strip=True) for node in package.find_all("creator"))
    title = package.find("title").get_text(" ", strip=True) if package.find("title") else ""
    return title, author, [html_text(book.read(name)) for name in found if name in present]


def _encrypted(book: zipfile.ZipFile) -> Iterator[str]:
    bs4 = needed("bs4", "an EPUB")
    if "META-INF/encryption.xml" in book.namelist():
        listed = bs4.BeautifulSoup(book.read("META-INF/encryption.xml"), "xml")
        for reference in listed.find_all("CipherReference"):
            yield unquote(str(reference.get("URI", "")))
