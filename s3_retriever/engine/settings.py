"""The one place where settings of a search are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.config import SearchConfig
from s3_retriever.searching.scorers import check_scorers

if TYPE_CHECKING:
    from collections.abc import Mapping


def search_config(
    base: SearchConfig | Mapping[str, Any] | None, settings: Mapping[str, Any]
) -> SearchConfig:
    """Return settings with some of them changed, as `SearchConfig.replace` does.

    Args:
        base: Settings or a mapping of them; None for the defaults.
        settings: Flat settings; None changes nothing, `UNSET` gives back the default.

    Raises:
        InputError: an unknown name, an impossible value, or a scorer there is not.
    """
    config = SearchConfig.of(base).replace(**settings)
    check_scorers(config)
    return config
