"""Every error a user can meet, each saying what happened and what to do next."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAMED = 5


class S3Error(Exception):
    """Base of all errors raised on purpose by s3-retriever."""


class InputError(S3Error, ValueError):
    """A document, question, path or setting that cannot be used as given."""


class UnsupportedModelError(S3Error, ValueError):
    """The model's architecture, or its tokenizer, cannot serve keys with exact offsets."""


class ModelMismatchError(S3Error, ValueError):
    """An index or a bank was made with another model than the one at hand."""


class BankError(S3Error, ValueError):
    """A bank of sparse autoencoders is missing, damaged or holds non-finite weights."""


class IndexFileError(S3Error, OSError):
    """An index folder is missing, damaged, read-only, full or in use."""


class FormatVersionError(IndexFileError):
    """An index folder was written by a newer release than this one."""


class MissingExtraError(S3Error, ImportError):
    """An optional dependency is not installed; the message holds the install command."""


class IndexConflictError(IndexFileError):
    """An index folder holds what another process wrote, and saving over it would lose that."""


class ShardError(S3Error, RuntimeError):
    """A shard of an index did not answer; the message names it."""


class SkippedWarning(UserWarning):
    """Documents were left out because they cannot be indexed; the message names them."""


def first_line(error: Exception) -> str:
    """What an error of another library says in its first line, or its type, without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def some_of(ids: Sequence[str]) -> str:
    """Name the first few of some ids, for a message."""
    named = ", ".join(repr(id) for id in ids[:_NAMED])
    return f"{named} and {len(ids) - _NAMED} more" if len(ids) > _NAMED else named


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to one that is unknown, or which there are."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
