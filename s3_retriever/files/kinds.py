"""The kinds of files that are read, and what reads each.

To add one, write a function from `RawFile` to `Extract` in a file of this folder, and name it in
`KINDS` with its suffix.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from s3_retriever.errors import InputError, first_line
from s3_retriever.files import mail, notebooks, office, pdf, plain, rtf, subtitles, web
from s3_retriever.files.extract import Extract, RawFile

Reader = Callable[[RawFile], Extract]
"""Makes text of a file; raises `InputError` with what was seen and what to do where it cannot."""

_PROSE = ".txt .text .rst .adoc .org .tex"
_MARKDOWN = ".md .markdown .mdx .qmd .rmd"
_LINES = """
.log .csv .tsv .jsonl .ndjson .yaml .yml .toml .ini .cfg .conf .properties .xml .sql .diff .patch
.py .pyi .js .mjs .cjs .jsx .ts .tsx .vue .svelte .java .kt .kts .scala .groovy .gradle .clj .c .h
.cc .cpp .cxx .hh .hpp .cs .fs .vb .go .rs .swift .m .mm .rb .php .pl .pm .lua .r .jl .dart .ex .exs
.erl .hs .ml .mli .lisp .el .f90 .f95 .pas .asm .s .zig .nim .sh .bash .zsh .fish .ps1 .bat .cmd
.css .scss .less .proto .graphql .tf .cmake .mk .dockerfile .po .bib
"""

KINDS: dict[str, Reader] = {
    **dict.fromkeys(_PROSE.split(), plain.read_text),
    **dict.fromkeys(_MARKDOWN.split(), plain.read_markdown),
    **dict.fromkeys(_LINES.split(), plain.read_lines),
    **dict.fromkeys((".json", ".geojson"), plain.read_json),
    **dict.fromkeys((".html", ".htm", ".xhtml"), web.read_html),
    **dict.fromkeys((".srt", ".vtt", ".ass", ".ssa", ".sbv"), subtitles.read),
    ".pdf": pdf.read,
    ".docx": office.read_docx,
    ".pptx": office.read_pptx,
    ".xlsx": office.read_xlsx,
    ".xlsm": office.read_xlsx,
    ".epub": web.read_epub,
    ".rtf": rtf.read,
    ".ipynb": notebooks.read,
    ".eml": mail.read_mail,
    ".mbox": mail.read_mailbox,
}
"""For each suffix, in lower case, what reads such a file."""

_WHOLE_NAMES = """
readme license licence copying notice authors contributors changelog changes news install todo
makefile dockerfile containerfile jenkinsfile vagrantfile procfile gemfile rakefile
"""
"""Names of files without a suffix that are text."""

_ZIPPED = (".docx", ".pptx", ".xlsx", ".xlsm", ".epub")
_IN_ZIP = {"word/": ".docx", "ppt/": ".pptx", "xl/": ".xlsx", "META-INF/container.xml": ".epub"}

WHY_NOT = {
    "images: recognise their text first": ".png .jpg .jpeg .gif .webp .bmp .tif .tiff .heic .svg",
    "transcribe them first": ".mp3 .wav .flac .ogg .m4a .mp4 .mkv .mov .avi .webm",
    "unpack them first": ".zip .gz .tgz .bz2 .xz .7z .rar .tar .zst",
    "save them as DOCX, PPTX or XLSX": ".doc .ppt .xls .odt .ods .odp .pages .key .numbers",
    "save them as EML": ".msg .pst .ost",
}
"""Of kinds that are not read the reason, with their suffixes."""


def is_known(name: str) -> bool:
    """Whether a file of this name is read from a folder."""
    path = Path(name)
    return path.suffix.lower() in KINDS or (
        not path.suffix and name.lower() in _WHOLE_NAMES.split()
    )


def reason(suffix: str) -> str:
    """Why files of a suffix are not read; empty where nobody said."""
    return next((why for why, kinds in WHY_NOT.items() if suffix in kinds.split()), "")


def kind_names() -> str:
    """The kinds in a few words, for messages."""
    return (
        "text, Markdown, source code, CSV, JSON, HTML, PDF, DOCX, PPTX, XLSX, EPUB, RTF, "
        "notebooks, subtitles, mail"
    )


def extract(file: RawFile) -> Extract:
    """Make text of a file, by what its bytes begin with, then by its suffix, else as plain text.

    Raises:
        InputError: it cannot be read; the message says what was seen and what to do.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            return _reader(file)(file)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of any kind, by what reads it and what is wrong with the file
        raise InputError(
            f"is damaged, or not what its name says ({first_line(error)}); open it and save it "
            "anew, or leave it out"
        ) from error


def _reader(file: RawFile) -> Reader:
    suffix = Path(file.given).suffix.lower()
    if file.data.startswith(b"%PDF-"):
        return KINDS[".pdf"]
    if file.data.startswith(b"{\\rtf"):
        return KINDS[".rtf"]
    if file.data.startswith(b"PK\x03\x04") and suffix not in _ZIPPED:
        suffix = _zipped(file.data) or suffix
    return KINDS.get(suffix, plain.read_text)


def _zipped(data: bytes) -> str:
    """The suffix of what a zip file holds, by its names."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile:
        return ""
    return next(
        (suffix for start, suffix in _IN_ZIP.items() if any(n.startswith(start) for n in names)), ""
    )
