"""The texts that a command is given, and which documents of an index they are.

A document that was read from a file is known by the resolved path of the file: of the folder that
was given, and its place below that. It is kept in the metadata, as ``path``. The id is for people:
the place below the folder or, where that is taken, as much of the path as tells it apart.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever.documents import Document
from s3_retriever.errors import InputError
from s3_retriever.files.documents import each_document
from s3_retriever.files.extract import Extract, RawFile
from s3_retriever.files.folders import list_path, read_listed
from s3_retriever.files.kinds import extract, kind_names
from s3_retriever.files.paths import below, is_gone
from s3_retriever.files.reading import Reading
from s3_retriever.files.selection import Selection

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from s3_retriever.files.reading import FoundFile, ListedFile
    from s3_retriever.storage.catalogue import Entry

STDIN = "stdin"
_FROM = {"source": "standard input"}


class Known(NamedTuple):
    """What an index knows of a document.

    Attributes:
        path: The file that it was read from by this program, or ``""``.
        source: Where else it came from, as its metadata says.
        digest: Of its text.
    """

    path: str
    source: Any
    digest: str


def known_in(entries: Iterable[Entry]) -> dict[str, Known]:
    """What the catalogue of an index says, by id."""
    known: dict[str, Known] = {}
    for entry in entries:
        metadata = json.loads(entry.metadata)
        path = path_of(entry.id, metadata) or ""
        known[entry.id] = Known(path, metadata.get("source"), entry.text)
    return known


@dataclass(frozen=True, slots=True)
class Sources:
    """What is to be read.

    Attributes:
        files: Each is read when it is come to.
        named: What came from standard input by the name it was given, if anything did.
        reading: What is to be said of the files; what of their texts, when they have been read.
        encoding: Of text files, where that was said.
    """

    files: Sequence[ListedFile]
    named: Mapping[str, Extract]
    reading: Reading
    encoding: str | None = None

    def __len__(self) -> int:
        return len(self.files) + len(self.named)

    def found(self) -> Iterator[FoundFile]:
        """Read the files, one by one."""
        seen: set[Path] = set()
        for file in self.files:
            if file.path not in seen:
                seen.add(file.path)
                if (found := read_listed(file, self.reading, self.encoding)) is not None:
                    yield found

    def documents(self, known: Mapping[str, Known]) -> Iterator[Document]:
        """Read documents one by one, each with the id that it has or is to have in an index.

        Args:
            known: The documents of the index, by id.

        Raises:
            InputError: standard input has a name that another document has.
        """
        for name, found in self.named.items():
            if name in known and known[name].source != _FROM["source"]:
                raise InputError(f"--name {name} is the name of another document; choose another")
            yield Document(name, found.text, {**_FROM, **found.metadata()})
        paths = {id: it.path for id, it in known.items()} | dict.fromkeys(self.named, "")
        yield from each_document(self.found(), paths)


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


def list_sources(
    paths: Iterable[str],
    selection: Selection,
    name: str | None = None,
    strict: bool = False,
) -> Sources:
    """List files, the files of folders and of globs, and read ``-`` for standard input.

    Args:
        paths: As given.
        selection: Which files of folders are read, and how.
        name: Of standard input.
        strict: Whether a file that cannot be read is an error; all are read to find out.

    Raises:
        InputError: such files, all of them named; a path that does not exist; standard input
            cannot be read or holds no text; a name without standard input.
    """
    reading = Reading()
    missing: list[str] = []
    named: dict[str, Extract] = {}
    files: list[ListedFile] = []
    for path in paths:
        if path == "-":
            named[name or STDIN] = _standard_input(selection.encoding)
            continue
        listed = list_path(Path(path), reading, selection)
        files += listed
        if is_gone(path) and [file.given for file in listed] == [path]:
            lost = Reading()
            read_listed(listed[0], lost)
            missing.append(lost.problems())
    if name is not None and not named:
        raise InputError("--name names standard input, which is given by the path -")
    if missing:
        raise InputError("; ".join(missing))
    sources = Sources(files, named, reading, selection.encoding)
    if strict:
        tried = replace(sources, reading=Reading(failed=list(reading.failed)))
        for _ in tried.found():
            pass
        if tried.reading.failed:
            raise InputError("; ".join(tried.reading.problems().splitlines()))
    return sources


def _standard_input(encoding: str | None) -> Extract:
    try:
        found = extract(RawFile(sys.stdin.buffer.read(), "-", encoding))
    except InputError as error:
        raise InputError(f"standard input {error}") from error
    if not found.text.strip():
        raise InputError("standard input holds no text")
    return found


def path_of(id: str, metadata: Mapping[str, Any]) -> str | None:
    """The file that a document was read from, if it was by this program."""
    path: Any = metadata.get("path")
    if not isinstance(path, str) or not Path(path).is_absolute():
        return None
    return path if path.endswith(id) else None


def gone_below(root: Path, known: Mapping[str, Known], empty: Collection[Path]) -> list[str]:
    """Ids of documents whose files are not in a folder any more, or have no text any more.

    Args:
        root: The folder, resolved; it need not exist.
        known: The documents of the index, by id.
        empty: Files without text.
    """
    emptied = {str(path) for path in empty}
    return [
        id
        for id, it in known.items()
        if it.path and below(it.path, root) and (it.path in emptied or is_gone(it.path))
    ]


def read_documents(paths: Sequence[str]) -> list[Document]:
    """Read texts that need no place in an index, and say what was left out.

    Raises:
        InputError: as `read_sources`; also nothing to read.
    """
    sources = list_sources(paths, Selection())
    documents = list(sources.documents({}))
    if not documents:
        raise InputError(nothing_there(paths, sources.reading))
    say_what_is_missing(sources)
    if others := sources.reading.other_kinds():
        print(f"s3-retriever: not read: {others}", file=sys.stderr)
    return documents


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
