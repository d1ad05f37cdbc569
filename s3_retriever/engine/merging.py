"""Indexes that were made by the same model and bank become one, and nothing is read again."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from s3_retriever.engine.folder_store import FolderStore, attached_of, header_of
from s3_retriever.engine.opening import READING
from s3_retriever.errors import InputError, ModelMismatchError
from s3_retriever.fitting.depth import told_depth
from s3_retriever.storage import holding, index_info, join_indexes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from s3_retriever.engine.store import State


def merge_folders(paths: Sequence[str | PathLike[str]], path: str | PathLike[str]) -> None:
    """Write the documents of several index folders into a new one; see `EndogenousIndex.merge`.

    Args:
        paths: Two folders or more.
        path: The new one.
    """
    if isinstance(paths, str) or len(paths) < 2:
        raise InputError("give two indexes or more to merge, each by its folder")
    states = [_outline(source) for source in paths]
    first = states[0]
    for source, state in zip(paths[1:], states[1:], strict=True):
        _check_alike(paths[0], first, source, state)
    report = reduce(add, (state.report for state in states))
    whole = replace(first, report=report, saved=None)
    join_indexes(paths, path, header=header_of(whole), attached=attached_of(whole))
    store = FolderStore(path)
    with holding(path):
        store.save(store.load())  # makes the tables that some lack, as a large index has cells


def _outline(path: str | PathLike[str]) -> State:
    index_info(path)  # says what is wrong with a folder that holds none
    state = FolderStore(path).outline()
    if state is None:
        raise InputError(f"{path} holds no index any more; check the path")
    return state


def _check_alike(
    one: str | PathLike[str], first: State, other: str | PathLike[str], state: State
) -> None:
    names = [it.bank.model_name or "unknown" for it in (first, state)]
    if names[0] != names[1]:
        raise ModelMismatchError(
            f"{one} was made with the model {names[0]!r} and {other} with {names[1]!r}; build one "
            "of them again with the model of the other"
        )
    if state.bank.digest() != first.bank.digest():
        raise InputError(
            f"{one} and {other} were made with two banks{_two_depths(first, state)}; build one of "
            f"them again with the bank of the other, such as --bank {one}/bank-…"
        )
    for name in READING:
        here, there = getattr(first.scan, name), getattr(state.scan, name)
        if here != there:
            raise InputError(
                f"{one} was read with {name}={here!r} and {other} with {name}={there!r}; build one "
                "of them again as the other"
            )


def _two_depths(first: State, state: State) -> str:
    """The depths of two banks in brackets, where they differ."""
    told = told_depth(first.bank), told_depth(state.bank)
    return "" if told[0] == told[1] else f" ({told[0]} and {told[1]})"
