"""The scorers there are, by the names that settings know them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_retriever.errors import InputError, did_you_mean
from s3_retriever.searching.attention import AttentionScorer
from s3_retriever.searching.coactivation import CoactivationScorer
from s3_retriever.searching.lexical import LexicalScorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_retriever.config import SearchConfig
    from s3_retriever.searching.scorer import IndexedText, Scorer

SCORERS: dict[str, Callable[[IndexedText], Scorer]] = {
    "attention": AttentionScorer,
    "coactivation": CoactivationScorer,
    "bm25": LexicalScorer,
}
"""How to make each scorer of a text. One that is named here can take the place of the model's
evidence (``scoring="name"``) or be added to it (``weighing={"others": {"name": weight}}``)."""


def parts_of(config: SearchConfig) -> dict[str, str]:
    """The parts of a score (see `s3_retriever.documents.Span.parts`) and the scorer of each."""
    parts = {"s3": config.scoring}
    if config.bm25:
        parts["bm25"] = "bm25"
    return parts | {name: name for name in config.weighing.others}


def check_scorers(config: SearchConfig) -> None:
    """Refuse settings that name a scorer there is not.

    Raises:
        InputError: such a name; the message holds the nearest known one.
    """
    for part, name in parts_of(config).items():
        if name not in SCORERS:
            setting = "scoring" if part == "s3" else "weighing.others"
            raise InputError(
                f"{setting}={name!r} is invalid: there is no such scorer; "
                f"{did_you_mean(name, SCORERS)}"
            )
