"""Arguments of the adapters: a misspelt name is refused with the nearest valid one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from s3_retriever.config import ScanConfig
from s3_retriever.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable


def reject_unknown(given: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Refuse the first name that is not among the known ones.

    Args:
        given: Names of the arguments given.
        known: Names of the arguments there are.
        owner: What they were given to, for the message.

    Raises:
        InputError: a name is unknown; the message holds the nearest known one.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            raise InputError(f"{owner} has no argument {name!r}; {_hint(name, names)}")


def _hint(name: str, known: list[str]) -> str:
    setting = get_close_matches(name, ScanConfig.model_fields, n=1, cutoff=0.8)
    if setting and "scan" in known:
        return f"did you mean scan={{{setting[0]!r}: ...}}?"
    return did_you_mean(name, known)
