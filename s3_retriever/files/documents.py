"""Documents made of files: their ids, and where pages and sections begin in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s3_retriever.documents import Document
from s3_retriever.errors import InputError, SkippedWarning
from s3_retriever.files.folders import read_path
from s3_retriever.files.kinds import kind_names
from s3_retriever.files.paths import tails
from s3_retriever.files.reading import Reading
from s3_retriever.files.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from os import PathLike

    from s3_retriever.files.reading import FoundFile


def read_files(
    *paths: str | PathLike[str],
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    ignore_files: bool = True,
    encoding: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> list[Document]:
    """Read files of any known kind as documents.

    Args:
        *paths: Files, folders, which are read with their subfolders, and globs. Hidden files are
            left out of folders.
        include: Patterns as in .gitignore: files of folders that one matches are read alone, those
            of kinds that are not known as plain text.
        exclude: Patterns of files and folders to be left out.
        ignore_files: Whether .gitignore files are honoured.
        encoding: Of text files; by default UTF-8, or what a file's bytes look like.
        on_error: What to do with files that cannot be read.

    Returns:
        In the order of their paths. An id is the place of a file below the folder that was given,
        or as much of its path as tells it apart; metadata holds ``"path"``, ``"title"`` where the
        file has one, and where its pages, slides, sheets and sections begin, which every span is
        told: see `Span.metadata` and `Span.citation`.

    Raises:
        InputError: a file cannot be read or holds no text, all of them named (not with ``"skip"``,
            which warns with a `SkippedWarning`), or nothing was read.
    """
    selection = Selection(tuple(include), tuple(exclude), ignore_files, encoding)
    reading = Reading()
    for path in paths:
        read_path(Path(path), reading, selection)
    bad = [*reading.failed, *((str(path), "holds no text") for path in reading.empty)]
    problems = "; ".join(f"{name} {why}" for name, why in bad)
    if not reading.files or (bad and on_error == "raise"):
        where = ", ".join(map(str, paths))
        raise InputError(problems or f"{where}: no file there that can be read ({kind_names()})")
    remarks = [*([problems] if bad else []), *reading.remarks()]
    if remarks:
        warnings.warn("; ".join(remarks), SkippedWarning, stacklevel=2)
    return documents_of(reading.files, {})


def documents_of(files: Iterable[FoundFile], known: Mapping[str, str]) -> list[Document]:
    """Make documents of files; see `each_document`."""
    return list(each_document(files, known))


def each_document(files: Iterable[FoundFile], known: Mapping[str, str]) -> Iterator[Document]:
    """Make documents of files, one by one.

    Args:
        files: That were read.
        known: Ids that are taken, each with the path of its file or, where it has none, ``""``.

    Yields:
        A document for each file; a file that is known keeps its id, and one that comes twice is
        one document.
    """
    ids = {path: id for id, path in known.items() if path}
    taken = set(known)
    made: set[str] = set()
    for file in files:
        path = str(file.path)
        if path in made:
            continue
        made.add(path)
        if path not in ids:
            ids[path] = next(id for id in tails(file.path, file.place) if id not in taken)
            taken.add(ids[path])
        yield Document(ids[path], file.text, {"path": path, **file.extract.metadata()})
