"""The index of a place is taken up, or one is begun there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever.config import AnswerConfig, ScanConfig, SearchConfig
from s3_retriever.engine.resolve import check_model, loaded_bank, resolve_bank
from s3_retriever.engine.store import State
from s3_retriever.engine.streaming import Stream
from s3_retriever.errors import InputError
from s3_retriever.fitting.depth import checked_depth, depth_of, told_depth

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.documents import Document
    from s3_retriever.engine.store import Store

READING = ("chunk_tokens", "overlap_tokens", "preamble")
"""Settings of a scan by which the codes of a text are what they are."""

_SAMPLE_CHARACTERS = 5_000_000  # of the first documents, from which a new bank is made


@dataclass(frozen=True, slots=True)
class Given:
    """What was asked for; None leaves it to what is there, or to the default.

    Attributes:
        bank: As for `EndogenousIndex.build`.
        scan: Likewise.
        search: Likewise.
        answer: Likewise.
        depth: Likewise.
    """

    bank: Any = None
    scan: ScanConfig | Mapping[str, Any] | None = None
    search: SearchConfig | Mapping[str, Any] | None = None
    answer: AnswerConfig | Mapping[str, Any] | None = None
    depth: Any = None


class Begun(NamedTuple):
    """A stream, and what it is to take.

    Attributes:
        stream: Into the place.
        documents: All that are to be read.
    """

    stream: Stream
    documents: Iterator[Document]


def open_stream(
    store: Store,
    backbone: Backbone,
    documents: Iterable[Document],
    given: Given,
    progress: bool = False,
) -> Begun:
    """Take up the index of a place, or begin one there.

    Args:
        store: Of the place.
        backbone: The model.
        documents: That are to be read; the first are taken where a bank must be made from them.
        given: What was asked for.
        progress: Show bars on standard error.

    Returns:
        The stream, and all documents, to be given to its `take`.

    Raises:
        InputError: the index was made with another bank, at another depth or by other chunks than
            are asked for.
        ModelMismatchError: it was made with another model.
        BankError: as for `resolve_bank`.
    """
    state = store.outline()
    if state is not None:
        same = _same(state, backbone, given)
        same = same if same == state else store.extend(same, ())
        return Begun(Stream(store, backbone, same), iter(documents))
    held: list[Document] = []
    coming = iter(documents)
    bank = resolve_bank(given.bank, backbone, _first(coming, held), progress, given.depth)
    return Begun(Stream(store, backbone, begun(bank, given)), chain(held, coming))


def begun(bank: Bank, given: Given) -> State:
    """The state of an index that is begun.

    Args:
        bank: Its bank.
        given: What was asked for, the bank apart.
    """
    return State(
        (),
        bank,
        _changed(ScanConfig(), given.scan),
        _changed(SearchConfig(), given.search),
        _changed(AnswerConfig(), given.answer),
    )


def _first(documents: Iterator[Document], held: list[Document]) -> Iterator[Document]:
    """The first documents, which are held for later."""
    room = _SAMPLE_CHARACTERS
    while room > 0 and (document := next(documents, None)) is not None:
        held.append(document)
        room -= len(document.text)
        yield document


def _changed(config: Any, given: Any) -> Any:
    """Settings as they are, with those that were given."""
    return config.replace(**given) if isinstance(given, Mapping) else given or config


def _same(state: State, backbone: Backbone, given: Given) -> State:
    """What is taken up, for a model."""
    check_model(backbone, state.bank, "the index there")
    if given.bank is not None:
        resolve_bank(given.bank, backbone, (), False)
    return taken_up(state, given)


def taken_up(state: State, given: Given) -> State:
    """An outline with the settings that were given, which may not change what codes say.

    Args:
        state: What a place holds.
        given: What was asked for.

    Raises:
        InputError: the index was made with another bank or by other chunks than are asked for.
        BankError: the folder given for a bank holds none, or a damaged one.
    """
    _check_depth(state, given)
    scan = _changed(state.scan, given.scan)
    bank = state.bank if given.bank is None else loaded_bank(given.bank)
    if any(getattr(scan, name) != getattr(state.scan, name) for name in READING) or (
        bank.digest() != state.bank.digest()
    ):
        raise InputError(
            f"the index there was made with another bank, or with {_told(state.scan)}, and "
            "keeps them; leave them out, or choose another folder"
        )
    return replace(
        state,
        scan=scan,
        search=_changed(state.search, given.search),
        answer=_changed(state.answer, given.answer),
    )


def _check_depth(state: State, given: Given) -> None:
    wanted = checked_depth(given.depth, given.bank)
    if given.depth is not None and depth_of(state.bank) != wanted:
        raise InputError(
            f"the index there was made with {told_depth(state.bank)} and keeps it, and "
            f"depth={wanted!r} is asked for; leave the depth out, or choose another folder"
        )


def _told(scan: ScanConfig) -> str:
    return ", ".join(f"{name}={getattr(scan, name)!r}" for name in READING)
