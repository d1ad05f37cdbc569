"""Settings of a search in the adapters: flat keywords over one `SearchConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from s3_retriever.config import UNSET, SearchConfig, Unset

if TYPE_CHECKING:
    from s3_retriever.config import SearchFields

T = TypeVar("T")

SETTINGS = tuple(SearchConfig.model_fields)
"""Names of the settings."""


def config_of(owner: SearchFields) -> SearchConfig:
    """The settings of an object that carries them as fields of its own.

    Raises:
        InputError: one of them has been given an impossible value.
    """
    return SearchConfig(**{name: getattr(owner, name) for name in SETTINGS})


def given_or(own: T | None, given: T | Unset | None) -> T | None:
    """An argument of a call: None is the object's own, `UNSET` is none at all."""
    if given is UNSET:
        return None
    return own if given is None else given
