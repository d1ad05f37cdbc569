"""Indexes that were made by the same model and bank become one, and nothing is read again."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever.engine.folder_store import FolderStore, attached_of, header_of
from s3_retriever.engine.opening import READING
from s3_retriever.errors import InputError, ModelMismatchError
from s3_retriever.fitting.depth import told_depth
from s3_retriever.storage import holding, index_info, join_indexes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from s3_retriever.config import ScanConfig
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
        check_alike(paths[0], Made.of(first), source, Made.of(state))
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


class Made(NamedTuple):
    """By what an index was made.

    Attributes:
        model: Its name.
        bank: Digest of the bank.
        depth: The bank's, in words.
        scan: How documents were read.
    """

    model: str
    bank: str
    depth: str
    scan: ScanConfig

    @classmethod
    def of(cls, state: State) -> Made:
        """By what a state was made."""
        bank = state.bank
        return cls(bank.model_name or "unknown", bank.digest(), told_depth(bank), state.scan)


def check_alike(
    one: str | PathLike[str], first: Made, other: str | PathLike[str], second: Made
) -> None:
    """Make sure that two indexes can be one.

    Raises:
        ModelMismatchError: two models.
        InputError: two banks, or two ways of reading.
    """
    if first.model != second.model:
        raise ModelMismatchError(
            f"{one} was made with the model {first.model!r} and {other} with {second.model!r}; "
            "build one of them again with the model of the other"
        )
    if first.bank != second.bank:
        depths = "" if first.depth == second.depth else f" ({first.depth} and {second.depth})"
        raise InputError(
            f"{one} and {other} were made with two banks{depths}; build one of "
            f"them again with the bank of the other, such as --bank {one}/bank-…"
        )
    for name in READING:
        here, there = getattr(first.scan, name), getattr(second.scan, name)
        if here != there:
            raise InputError(
                f"{one} was read with {name}={here!r} and {other} with {name}={there!r}; build one "
                "of them again as the other"
            )
