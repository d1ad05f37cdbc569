"""Arguments and output that commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from s3_retriever.documents import Span

SUFFIXES = (".txt", ".md", ".markdown", ".rst", ".text")
"""Files that are read from a folder."""


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``."""
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="folder, .gguf file or hub name of the model; default: the embedded "
        "SmolLM2-135M-Instruct",
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def shows_progress(args: argparse.Namespace) -> bool:
    """Whether bars are wanted: on a terminal, unless ``--quiet``."""
    return not args.quiet and sys.stderr.isatty()


def print_json(value: Any) -> None:
    """Print a value as JSON, text as it is."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def span_json(span: Span) -> dict[str, Any]:
    """Return a span as JSON values."""
    return {
        "id": span.id,
        "document": span.document_id,
        "start": span.start,
        "end": span.end,
        "score": span.score,
        "parts": dict(span.parts),
        "tokens": span.tokens,
        "text": span.text,
        "metadata": dict(span.metadata),
    }


def span_lines(spans: Sequence[Span]) -> Iterator[str]:
    """Lines for people: where each span stands, what it scored, and its text."""
    for number, span in enumerate(spans, start=1):
        parts = "  ".join(f"{name.upper()} {value:.2f}" for name, value in span.parts.items())
        yield f"[{number}] {span.document_id}, characters {span.start:,}–{span.end:,}   {parts}"
        yield "    " + " ".join(span.text.split())


def read_documents(paths: Sequence[str]) -> list[Document]:
    """Read text files, the text files of folders, and ``-`` for standard input.

    The id of a document is the path as given, or for the files of a folder their path inside it.

    Raises:
        InputError: a path that does not exist, is no UTF-8 text, or a folder without text files.
    """
    documents = []
    for path in paths:
        if path == "-":
            text = _decoded(sys.stdin.buffer.read(), "standard input")
            documents.append(Document(id="stdin", text=text))
            continue
        place = Path(path)
        if place.is_dir():
            found = (f for f in sorted(place.rglob("*")) if f.suffix.lower() in SUFFIXES)
            files = [f for f in found if f.is_file()]
            if not files:
                raise InputError(f"{path} holds no text file ({', '.join(SUFFIXES)})")
            documents += [_read(f, f.relative_to(place).as_posix()) for f in files]
        else:
            documents.append(_read(place, place.as_posix()))
    return documents


def _read(file: Path, id: str) -> Document:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; check the path") from error
    return Document(id=id, text=_decoded(data, str(file)), metadata={"path": str(file)})


def _decoded(data: bytes, name: str) -> str:
    """Decode text as it stands, line ends included."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8 text (byte {error.start}); convert it: iconv -t UTF-8"
        ) from error
