"""Arguments and output that commands share."""

from __future__ import annotations

import codecs
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Iterator, Sequence

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
    """Print a value as JSON: text as it is where the output is UTF-8, else escaped."""
    plain = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    print(json.dumps(value, ensure_ascii=not plain, indent=1, default=str))


def command_line(*words: str, model: str | None = None) -> str:
    """What to type for a command of this program, by its path where no PATH leads to it."""
    name, called = "s3-retriever", sys.argv[0]
    if shutil.which(name) is None and Path(called).stem == name:
        name = called
    options = [] if model is None else ["--model", model]
    return shlex.join([name, *words, *options])


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


_SHOWN = {"s3": "S3", "bm25": "BM25"}


def span_lines(spans: Sequence[Span]) -> Iterator[str]:
    """Lines for people: where each span stands, what it scored, and its text."""
    for number, span in enumerate(spans, start=1):
        parts = "  ".join(
            f"{_SHOWN.get(name, name)} {value:.2f}" for name, value in span.parts.items()
        )
        yield f"[{number}] {span.document_id}, characters {span.start:,}–{span.end:,}   {parts}"
        yield "    " + " ".join(span.text.split())


def check_output(path: str) -> None:
    """Refuse a folder that cannot be written before the long work, not after it.

    Raises:
        InputError: there is a file in its place, or what it would lie in is read-only.
    """
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{path} cannot be written: {place} is a file; choose another -o")
    if not os.access(place, os.W_OK):
        raise InputError(f"{path} cannot be written: {place} is read-only; choose another -o")


def read_documents(paths: Iterable[str]) -> list[Document]:
    """Read text files, the text files of folders, and ``-`` for standard input.

    The id of a document is the path as given, or for the files of a folder their path inside it.
    In a folder, hidden files are left out, and so are empty ones, which is said on standard error.

    Raises:
        InputError: a path that does not exist, a name or a text that is no UTF-8, an empty file,
            a folder without text files, or two files with one id.
    """
    documents: dict[str, Document] = {}
    for path in paths:
        for document in _readable(path):
            other = documents.setdefault(document.id, document)
            if other.metadata != document.metadata:
                raise InputError(
                    f"{other.metadata['path']} and {document.metadata['path']} would both be "
                    f"{document.id!r}; give the folder above them"
                )
    return list(documents.values())


def gone(paths: Iterable[str], indexed: Iterable[Document], found: Collection[str]) -> list[str]:
    """Ids of documents that came from a folder and are not in it any more.

    Args:
        paths: As for `read_documents`; only what came from folders among them can be gone.
        indexed: What the index holds.
        found: Ids of what was read from the paths.
    """
    folders = [Path(path).absolute() for path in paths if Path(path).is_dir()]

    def inside(document: Document) -> bool:
        place, id = document.metadata.get("path"), Path(document.id)
        if not isinstance(place, str) or id.is_absolute():
            return False
        return any(Path(place).absolute() == folder / id for folder in folders)

    return [item.id for item in indexed if item.id not in found and inside(item)]


def _readable(path: str) -> Iterator[Document]:
    try:
        yield from _documents(path)
    except OSError as error:
        name = error.filename or path
        raise InputError(f"{name} cannot be read: {error.strerror}; check the path") from error


def _documents(path: str) -> Iterator[Document]:
    place = Path(path)
    if path == "-":
        yield Document(id="stdin", text=_decoded(sys.stdin.buffer.read(), "standard input"))
    elif place.is_dir():
        yield from _folder(place)
    else:
        yield Document(place.as_posix(), _read(place), {"path": str(place)})


def _folder(folder: Path) -> Iterator[Document]:
    found, empty = 0, []
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or file.suffix.lower() not in SUFFIXES or not file.is_file():
            continue
        text = _read(file)
        if text.strip():
            found += 1
            yield Document(inside.as_posix(), text, {"path": str(file)})
        else:
            empty.append(inside.as_posix())
    if not found:
        raise InputError(f"{folder} holds no text ({', '.join(SUFFIXES)}); check the path")
    if empty:
        print(f"s3-retriever: left out as empty: {', '.join(empty)}", file=sys.stderr)


def _read(file: Path) -> str:
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name of {str(file)!r} is not UTF-8; rename it") from error
    return _decoded(file.read_bytes(), str(file))


def _decoded(data: bytes, name: str) -> str:
    """Decode text as it stands, line ends included."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8 text (byte {error.start}); convert it: iconv -t UTF-8"
        ) from error
