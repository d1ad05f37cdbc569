"""The texts that a command is given, and which documents of an index they are.

A document that was read from a file is known by the resolved path of the file: of the folder that
was given, and its place below that. It is kept in the metadata, as ``path``. The id is for people:
the place below the folder or, where that is taken, as much of the path as tells it apart.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.files.documents import documents_of as documents_of_files
from s3_retriever.files.extract import Extract, RawFile
from s3_retriever.files.folders import read_path
from s3_retriever.files.kinds import extract, kind_names
from s3_retriever.files.paths import below, is_gone
from s3_retriever.files.reading import Reading
from s3_retriever.files.selection import Selection

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Mapping, Sequence

STDIN = "stdin"
_FROM = {"source": "standard input"}


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read.

    Attributes:
        reading: Of files.
        named: What came from standard input by the name it was given, if anything did.
    """

    reading: Reading
    named: Mapping[str, Extract]

    def __bool__(self) -> bool:
        return bool(self.reading.files or self.named)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what chooses among the files of folders."""
    for name, what in (("include", "read only files"), ("exclude", "leave out files and folders")):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="PATTERN",
            help=f"{what} that match, as in .gitignore: '*.md', 'drafts/'; may be given again",
        )
    parser.add_argument("--no-ignore", action="store_true", help="read what .gitignore leaves out")
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="of text files, such as cp1252; default: UTF-8, or what their bytes look like",
    )


def selection_of(args: argparse.Namespace) -> Selection:
    """The selection that was asked for."""
    return Selection(tuple(args.include), tuple(args.exclude), not args.no_ignore, args.encoding)


def read_sources(
    paths: Iterable[str],
    selection: Selection,
    name: str | None = None,
    strict: bool = False,
) -> Sources:
    """Read files, the files of folders and of globs, and ``-`` for standard input.

    Args:
        paths: As given.
        selection: Which files of folders are read, and how.
        name: Of standard input.
        strict: Whether a file that cannot be read is an error.

    Raises:
        InputError: such files, all of them named; a path that does not exist; standard input
            cannot be read or holds no text; a name without standard input.
    """
    reading = Reading()
    missing: list[str] = []
    named: dict[str, Extract] = {}
    for path in paths:
        if path == "-":
            named[name or STDIN] = _standard_input(selection.encoding)
            continue
        before = len(reading.failed)
        read_path(Path(path), reading, selection)
        if len(reading.failed) > before and is_gone(path):
            missing += [" ".join(reading.failed[-1])]
    if name is not None and not named:
        raise InputError("--name names standard input, which is given by the path -")
    if missing:
        raise InputError("; ".join(missing))
    if strict and reading.failed:
        raise InputError("; ".join(reading.problems().splitlines()))
    return Sources(reading, named)


def _standard_input(encoding: str | None) -> Extract:
    try:
        found = extract(RawFile(sys.stdin.buffer.read(), "-", encoding))
    except InputError as error:
        raise InputError(f"standard input {error}") from error
    if not found.text.strip():
        raise InputError("standard input holds no text")
    return found


def documents_of(sources: Sources, old: Mapping[str, Document] | None = None) -> list[Document]:
    """Make documents of what was read, each with the id that it has or is to have in an index.

    Args:
        sources: What was read.
        old: The documents of the index, by id.

    Raises:
        InputError: standard input has a name that another document has.
    """
    old = old or {}
    known = {id: path_of(document) or "" for id, document in old.items()}
    made = {it.id: it for it in documents_of_files(sources.reading.files, known)}
    for name, found in sources.named.items():
        other = made.get(name) or old.get(name)
        if other is not None and not _FROM.items() <= other.metadata.items():
            raise InputError(f"--name {name} is the name of another document; choose another")
        made[name] = Document(name, found.text, {**_FROM, **found.metadata()})
    return list(made.values())


def path_of(document: Document) -> str | None:
    """The file that a document was read from, if it was by this program."""
    path: Any = document.metadata.get("path")
    if not isinstance(path, str) or not Path(path).is_absolute():
        return None
    return path if path.endswith(document.id) else None


def gone_below(root: Path, documents: Iterable[Document], empty: Collection[Path]) -> list[str]:
    """Ids of documents whose files are not in a folder any more, or have no text any more.

    Args:
        root: The folder, resolved; it need not exist.
        documents: Of the index.
        empty: Files without text.
    """
    emptied = {str(path) for path in empty}
    return [
        document.id
        for document in documents
        if (path := path_of(document)) and below(path, root) and (path in emptied or is_gone(path))
    ]


def read_documents(paths: Sequence[str]) -> list[Document]:
    """Read texts that need no place in an index, and say what was left out.

    Raises:
        InputError: as `read_sources`; also nothing to read.
    """
    sources = read_sources(paths, Selection())
    if not sources:
        raise InputError(nothing_there(paths, sources.reading))
    say_what_is_missing(sources)
    if others := sources.reading.other_kinds():
        print(f"s3-retriever: not read: {others}", file=sys.stderr)
    return documents_of(sources)


def nothing_there(paths: Iterable[str], reading: Reading) -> str:
    """Why there is nothing to read."""
    seen = [*reading.problems().splitlines(), *(f"{path} holds no text" for path in reading.empty)]
    if others := reading.other_kinds():
        seen.append(f"not read: {others}")
    if left_out := reading.left_out():
        seen.append(f"left out by patterns: {left_out}")
    what = f"{', '.join(paths)}: no text there ({kind_names()})"
    return "; ".join([what, *(seen or ["check the path"])])


def say_what_is_missing(sources: Sources) -> None:
    """Say on standard error what should have been read and was not, and what was assumed."""
    reading = sources.reading
    if reading.failed:
        lines = "".join(f"\n  {line}" for line in reading.problems().split("\n"))
        print(f"s3-retriever: left out, for it cannot be read:{lines}", file=sys.stderr)
    named = [it for name, found in sources.named.items() for it in found.remarks(name)]
    for remark in (*reading.remarks(), *named):
        print(f"s3-retriever: {remark}", file=sys.stderr)
    if reading.empty:
        names = ", ".join(str(path) for path in reading.empty)
        print(f"s3-retriever: left out as empty: {names}", file=sys.stderr)
