"""What a person hands in, as documents: all that is wrong is named, before anything is read."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from itertools import count
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from s3_retriever.documents import Document, Draft, Skipped
from s3_retriever.errors import InputError, SkippedWarning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

OnError = Literal["raise", "skip"]
"""Of documents that cannot be indexed: raise an error that names them all, or leave them out."""

_SHOWN = 20
_FRAMEWORKS = {
    "langchain_core": ("LangChain", "langchain_s3_retriever"),
    "llama_index": ("LlamaIndex", "llama_index.retrievers.s3"),
}


def take_in(
    items: Iterable[Document | Draft | str],
    taken: Collection[str] = (),
    on_error: OnError = "raise",
    *,
    replace: bool = False,
) -> tuple[list[Document], tuple[Skipped, ...]]:
    """Turn what was handed in into documents that can be indexed.

    Args:
        items: Documents, or texts, which are given the ids ``"0"``, ``"1"`` and so on, skipping
            those that are taken.
        taken: Ids already in the index.
        on_error: ``"raise"`` refuses all where one is wrong; ``"skip"`` leaves out what is wrong
            and warns, naming each with its reason.
        replace: Whether an id that is taken may come again.

    Returns:
        The documents, and what was left out.

    Raises:
        InputError: no list of documents, another `on_error`; or, with ``"raise"``, whatever is
            wrong with any of them: neither document nor text, empty, half a character, metadata
            that cannot be stored, an id that is taken or comes twice. All are named.
    """
    _check_on_error(on_error)
    drafts = [_draft(item) for item in _checked(items)]
    numbers = _free_numbers(drafts, taken)
    documents: list[Document] = []
    skipped: list[Skipped] = []
    used = set() if replace else set(taken)
    for place, draft in enumerate(drafts):
        try:
            document = _document(draft, numbers, used)
        except InputError as error:
            skipped.append(Skipped(place, draft.id, str(error)))
        else:
            used.add(document.id)
            documents.append(document)
    if skipped and on_error == "raise":
        raise InputError(_refusal(skipped, len(drafts)))
    warn_of(skipped, len(drafts), 4)
    return documents, tuple(skipped)


def take_each(
    items: Iterable[Document | Draft | str],
    used: set[str],
    numbers: Iterator[str],
    on_error: OnError,
    skipped: list[Skipped],
) -> Iterator[Document]:
    """Turn what is handed in into documents one by one, none of which is held.

    Args:
        items: As for `take_in`.
        used: Ids that may not come; those of the documents are added.
        numbers: Ids for texts that have none.
        on_error: ``"raise"`` stops at the first that is wrong; ``"skip"`` leaves it out.
        skipped: Takes what is left out.

    Raises:
        InputError: as for `take_in`, when the item is come to.
    """
    _check_on_error(on_error)
    for place, item in enumerate(_checked(items)):
        draft = _draft(item)
        try:
            document = _document(draft, numbers, used)
        except InputError as error:
            found = Skipped(place, draft.id, str(error))
            if on_error == "raise":
                raise InputError(
                    f"{found}; what was read before it is kept; to read the others: on_error='skip'"
                ) from error
            skipped.append(found)
            continue
        used.add(document.id)
        yield document


def warn_of(skipped: Sequence[Skipped], total: int, level: int) -> None:
    """Name what was left out in a `SkippedWarning`.

    Args:
        skipped: What was; nothing is said of nothing.
        total: Of how many documents.
        level: How many calls up the warning is for, as `warnings.warn` counts.
    """
    if skipped:
        warnings.warn(_told(skipped, total), SkippedWarning, stacklevel=level + 1)


def as_list(items: Any, one: type, of: str, advice: str) -> list[Any]:
    """Return what a framework's users hand in as a list, or say what would be one.

    Args:
        items: Documents of the framework.
        one: Its document.
        of: What the list must hold, in words.
        advice: For who gives a path or a text.

    Raises:
        InputError: a path, a text, a single document or nothing that can be iterated.
    """
    wanted = f"documents must be a list of {of}, not one {type(items).__name__}"
    if isinstance(items, str | PathLike):
        raise InputError(f"{wanted}; {advice}")
    if isinstance(items, one) or not isinstance(items, Iterable):
        raise InputError(f"{wanted}; put it in a list: [document]")
    return list(items)


def _check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "skip"):
        raise InputError(f"on_error={on_error!r} is invalid: it is 'raise' or 'skip'")


def _checked(items: Any) -> Iterable[Any]:
    if isinstance(items, str | PathLike):
        _refuse_path(items)
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping):
        kind = type(items).__name__
        raise InputError(
            f"documents must be a list of Document or str, not one {kind}; put it in a list: "
            "[document]"
        )
    if isinstance(items, Draft):
        raise InputError("documents must be a list; put the one in a list: [document]")
    return items


def _refuse_path(path: str | PathLike[str]) -> None:
    """Tell somebody who gave a place on the disk how to have it read."""
    text = fspath(path)
    if not isinstance(path, str) or (len(text) < 4096 and "\n" not in text and _exists(text)):
        raise InputError(
            f"documents must be a list of Document or str, and {str(text)!r} is a path, whose "
            f"files are not read here; read them: [Path({str(text)!r}).read_text()] for a file, or "
            f"type: s3-retriever index {text} -o INDEX"
        )


def _exists(path: str) -> bool:
    try:
        return bool(path.strip()) and Path(path).exists()
    except (OSError, ValueError):
        return False


def _draft(item: Any) -> Draft:
    if isinstance(item, Draft):
        return item
    if isinstance(item, Document):
        return Draft(item.id, item, None)
    if isinstance(item, str):
        return Draft(None, item, {})
    return Draft(None, item, None, problem=_strange(item))


def _strange(item: Any) -> str:
    root = type(item).__module__.split(".")[0]
    if root in _FRAMEWORKS:
        name, package = _FRAMEWORKS[root]
        return (
            f"a {type(item).__name__} of {name}; give it to {package}.EndogenousRetriever."
            "from_documents, or make one of s3_retriever: Document(id=..., text=...)"
        )
    if isinstance(item, PathLike):
        return f"must be a Document or a str, not the path {fspath(item)!r}; read the file first"
    return f"must be a Document or a str, not {type(item).__name__}"


def _free_numbers(drafts: list[Draft], taken: Collection[str]) -> Iterator[str]:
    given = {draft.id for draft in drafts if draft.id is not None}
    return (str(n) for n in count(len(taken)) if str(n) not in taken and str(n) not in given)


def _document(draft: Draft, numbers: Iterator[str], used: Collection[str]) -> Document:
    if draft.problem is not None:
        raise InputError(draft.problem)
    if isinstance(draft.text, Document):
        document = draft.text
    else:
        id = next(numbers) if draft.id is None else draft.id
        document = Document(id=id, text=draft.text, metadata=draft.metadata)
    if document.id in used:
        raise InputError(
            f"duplicate document id {document.id!r}: choose another, or, to put this document in "
            "the place of the one that has it, call upsert"
        )
    return document


def _refusal(skipped: list[Skipped], total: int) -> str:
    if len(skipped) == 1:
        advice = "" if total == 1 else "; to read the others: on_error='skip'"
        return f"{skipped[0]}; nothing was added{advice}"
    return (
        f"{len(skipped)} of {total} documents cannot be indexed, and nothing was added; to read "
        f"the others: on_error='skip'\n{_lines(skipped, len(skipped))}"
    )


def _told(skipped: Sequence[Skipped], total: int) -> str:
    return f"left out {len(skipped)} of {total} documents:\n{_lines(skipped, _SHOWN)}"


def _lines(skipped: Sequence[Skipped], most: int) -> str:
    lines = [f"  {item}" for item in skipped[:most]]
    more = len(skipped) - most
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 else [])])
