"""What a person hands in goes into a folder while it is read."""

from __future__ import annotations

from collections.abc import Sized
from itertools import chain, count
from typing import TYPE_CHECKING

from s3_retriever.engine.intake import take_each, warn_of
from s3_retriever.engine.opening import Given, open_stream
from s3_retriever.engine.stores import store_at
from s3_retriever.engine.streaming import known_documents
from s3_retriever.errors import InputError
from s3_retriever.storage import holding, is_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

    from s3_retriever.backbone import Backbone
    from s3_retriever.documents import Document, Draft, Skipped
    from s3_retriever.engine.intake import OnError


def build_into(
    path: str | PathLike[str],
    documents: Iterable[Document | Draft | str],
    backbone: Backbone,
    given: Given,
    *,
    progress: bool,
    on_error: OnError,
) -> tuple[Skipped, ...]:
    """Read what is handed in into a folder; see `EndogenousIndex.build`.

    Returns:
        What was left out.
    """
    used: set[str] = set()
    skipped: list[Skipped] = []
    numbers = (str(n) for n in count() if str(n) not in used)
    coming = take_each(documents, used, numbers, on_error, skipped)
    first = next(coming, None)
    if first is None and not is_index(path):
        why = f"; left out was {skipped[0]}" if skipped else ""
        raise InputError(f"there is no document to index{why}; give at least one")
    coming = coming if first is None else chain([first], coming)
    expected = len(documents) if isinstance(documents, Sized) else None
    with holding(path):
        stream, coming = open_stream(store_at(path), backbone, coming, given, progress)
        stream.take(coming, progress, expected)
    warn_of(skipped, len(used) + len(skipped), 3)
    return tuple(skipped)


def read_into(
    path: str | PathLike[str],
    documents: Iterable[Document | Draft | str],
    backbone: Backbone,
    *,
    used: set[str],
    progress: bool,
    on_error: OnError,
) -> tuple[tuple[str, ...], tuple[Skipped, ...]]:
    """Read what is handed in into a folder that holds an index; see `EndogenousIndex.add`.

    Args:
        path: The folder; the caller holds it.
        documents: What is handed in.
        backbone: The model.
        used: Ids that may not come.
        progress: Show a bar on standard error.
        on_error: As for `EndogenousIndex.build`.

    Returns:
        Ids of all documents that came, and what was left out.
    """
    ids: list[str] = []
    skipped: list[Skipped] = []
    stream, _ = open_stream(store_at(path), backbone, (), Given())
    taken = {*known_documents(stream.state)}
    free = (str(n) for n in count(len(taken)))
    numbers = (number for number in free if number not in taken and number not in used)
    stream.take(_noted(take_each(documents, used, numbers, on_error, skipped), ids), progress)
    warn_of(skipped, len(ids) + len(skipped), 4)
    return tuple(ids), tuple(skipped)


def _noted(documents: Iterable[Document], ids: list[str]) -> Iterator[Document]:
    for document in documents:
        ids.append(document.id)
        yield document
