"""Files of many kinds, made by the libraries that other programs write them with."""

from __future__ import annotations

import io
import json
import mailbox
import zipfile
from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAGES = (
    "The lighthouse on Gull Point was lit in 1871.",
    "Its keeper, Ada Finch, kept bees behind the oil store.",
    "The lamp was replaced in 1903 by an electric one.",
)


def pdf(path: Path, pages: Sequence[str] = PAGES) -> Path:
    """A page for each text; an empty one is drawn, as a scan is."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    with PdfPages(path) as file:
        for text in pages:
            figure = Figure(figsize=(8, 4))
            if text:
                figure.text(0.05, 0.8, text)
            else:
                figure.add_axes((0.2, 0.2, 0.6, 0.6)).imshow([[0, 1], [1, 0]])
                figure.axes[0].set_axis_off()
            file.savefig(figure)
    return path


def encrypted_pdf(path: Path) -> Path:
    """A PDF that opens with a password."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(pdf(path)))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path)
    return path


def docx(path: Path) -> Path:
    """Headings, paragraphs, a list and a table."""
    from docx import Document

    document = Document()
    document.add_heading("Lease of the mill", 1)
    document.add_paragraph("The mill at Low Ford is let to Tom Reed.")
    document.add_heading("Notice", 2)
    document.add_paragraph("Either side may give three months' notice.")
    document.add_paragraph("in writing", style="List Bullet")
    table = document.add_table(rows=0, cols=2)
    for row in (("Quarter", "Rent"), ("Spring", "90 pounds"), ("Autumn", "110 pounds")):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.save(path)
    return path


def pptx(path: Path) -> Path:
    """Two slides, the second with a table and notes."""
    from pptx import Presentation
    from pptx.util import Inches

    show = Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Bees of Gull Point"
    first.placeholders[1].text = "Eleven hives\nTwo swarms lost in May"
    second = show.slides.add_slide(show.slide_layouts[5])
    second.shapes.title.text = "Honey by year"
    cells = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for row, texts in enumerate((("Year", "Jars"), ("1902", "214"))):
        for column, text in enumerate(texts):
            cells.cell(row, column).text = text
    second.notes_slide.notes_text_frame.text = "Say that 1902 was the best year."
    show.save(path)
    return path


def xlsx(path: Path) -> Path:
    """Two sheets with numbers, a date and a formula."""
    import datetime

    from openpyxl import Workbook

    book = Workbook()
    costs = book.active
    costs.title = "Costs"
    costs.append(["Item", "Price", "Bought"])
    costs.append(["Lamp oil", 12.5, datetime.date(1902, 3, 4)])
    costs.append(["Wick | spare", 3, None])
    book.create_sheet("Empty")
    staff = book.create_sheet("Staff")
    staff.append([None, None])
    staff.append(["Name", "Post"])
    staff.append(["Ada Finch", "keeper"])
    book.save(path)
    return path


HTML = """<!doctype html><html><head><meta charset="{charset}"><title>Tide tables</title>
<style>p {{ color: red }}</style><script>var hidden = "script";</script></head>
<body><nav>Home About</nav><h1>Tide tables</h1><p>High water at Gull Point is at <b>six</b>.</p>
<h2>Café hours</h2><p>See <a href="https://example.org/far">the café</a> under the snake_case_name.
<img src="data:image/png;base64,AAAA" alt="a picture"></p>
<table><tr><th>Day</th><th>Height</th></tr><tr><td>Monday</td><td>4.1 m</td></tr></table>
</body></html>"""


def html(path: Path, charset: str = "utf-8") -> Path:
    """A page with what is not to be read: style, script, menu, image."""
    path.write_bytes(HTML.format(charset=charset).encode(charset))
    return path


def epub(path: Path, locked: bool = False) -> Path:
    """Two chapters, not in the order of their names."""
    package = """<package xmlns="http://www.idpf.org/2007/opf"><metadata
      xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Keeper</dc:title>
      <dc:creator>I. Marsh</dc:creator></metadata><manifest>
      <item id="a" href="text/b%20one.xhtml" media-type="application/xhtml+xml"/>
      <item id="b" href="text/a.xhtml" media-type="application/xhtml+xml"/></manifest>
      <spine><itemref idref="a"/><itemref idref="b"/></spine></package>"""
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{}</h1><p>{}</p></body></html>'
    container = '<container><rootfiles><rootfile full-path="OEBPS/x.opf"/></rootfiles></container>'
    rights = '<encryption><CipherReference URI="OEBPS/text/a.xhtml"/></encryption>'
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", container)
        if locked:
            book.writestr("META-INF/encryption.xml", rights)
        book.writestr("OEBPS/x.opf", package)
        book.writestr("OEBPS/text/b one.xhtml", page.format("Arrival", "Ada came by boat."))
        book.writestr("OEBPS/text/a.xhtml", page.format("Winter", "The fog horn failed."))
    return path


def notebook(path: Path) -> Path:
    """Prose, code with what it printed, and an image."""
    import nbformat.v4 as v4

    image = v4.new_output("display_data", {"image/png": "iVBOR" * 200})
    printed = v4.new_output("stream", name="stdout", text="21.4 knots\n")
    cells = [
        v4.new_markdown_cell("# Wind\n\nMeasured at the lamp."),
        v4.new_code_cell("print(speed)", outputs=[printed, image]),
    ]
    path.write_text(json.dumps(v4.new_notebook(cells=cells)), encoding="utf-8")
    return path


def message(subject: str, body: str, html_body: str = "") -> EmailMessage:
    """A mail with an attachment."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "Ada <ada@example.org>", "tom@example.org"
    mail.set_content(body)
    if html_body:
        mail.add_alternative(html_body, subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="lease.pdf")
    return mail


def eml(path: Path) -> Path:
    """A mail with umlauts in its subject and its text."""
    path.write_bytes(message("Späte Miete", "Die Miete für März fehlt.").as_bytes())
    return path


def mbox(path: Path) -> Path:
    """Two mails."""
    box = mailbox.mbox(path)
    box.add(message("First", "The boat is late."))
    box.add(message("Second", "", "<p>The boat <b>came</b>.</p>"))
    box.close()
    return path


SRT = """1
00:00:01,000 --> 00:00:03,000
<i>The lamp must</i>

2
00:00:03,100 --> 00:00:05,000
never go out.

3
00:12:10,000 --> 00:12:12,000
Ships depend
on it.
"""


def srt(path: Path) -> Path:
    """Three cues, two of which are a sentence."""
    path.write_text(SRT, encoding="utf-8")
    return path


def rtf(path: Path) -> Path:
    """A line with an umlaut."""
    path.write_bytes(rb"{\rtf1\ansi\ansicpg1252 The {\b m\'fchle} is let.\par}")
    return path


def every_kind(folder: Path) -> dict[str, Path]:
    """One file of each kind that needs the files extra, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = {
        "guide.pdf": pdf,
        "lease.docx": docx,
        "bees.pptx": pptx,
        "costs.xlsx": xlsx,
        "tides.html": html,
        "keeper.epub": epub,
        "wind.ipynb": notebook,
        "rent.eml": eml,
        "box.mbox": mbox,
        "film.srt": srt,
        "mill.rtf": rtf,
    }
    return {name: make(folder / name) for name, make in makers.items()}


def zipped(data: dict[str, str]) -> bytes:
    """A zip file, the same at any time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in data.items():
            file.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()
