"""Settings of a search in the adapters: flat keywords over one `SearchConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.config import SearchConfig

if TYPE_CHECKING:
    from s3_retriever.config import SearchFields

SETTINGS = tuple(SearchConfig.model_fields)
"""Names of the settings."""


def config_of(owner: SearchFields) -> SearchConfig:
    """The settings of an object that carries them as fields of its own.

    Raises:
        InputError: one of them has been given an impossible value.
    """
    return SearchConfig(**{name: getattr(owner, name) for name in SETTINGS})
