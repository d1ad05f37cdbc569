"""The scorers there are, by the names that settings know them by."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError, did_you_mean
from s3_retriever.searching.attention import AttentionScorer
from s3_retriever.searching.candidate_attention import CandidateAttention
from s3_retriever.searching.coactivation import CoactivationScorer
from s3_retriever.searching.lexical import LexicalScorer
from s3_retriever.searching.meaning import MeaningScorer
from s3_retriever.searching.places import (
    AttentionDocumentScorer,
    AttentionPlaceScorer,
    LexicalDocumentScorer,
    LexicalPlaceScorer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from s3_retriever.config import SearchConfig
    from s3_retriever.searching.scorer import IndexedText, Scorer

SCORERS: dict[str, Callable[[IndexedText], Scorer]] = {
    "attention": AttentionScorer,
    "coactivation": CoactivationScorer,
    "bm25": LexicalScorer,
    "meaning": MeaningScorer,
    "attention of documents": AttentionDocumentScorer,
    "attention of places": AttentionPlaceScorer,
    "attention of leads": partial(CandidateAttention, alone=True),
    "bm25 of documents": LexicalDocumentScorer,
    "bm25 of places": LexicalPlaceScorer,
}
"""How to make each scorer of a text. One that is named here can take the place of the model's
evidence (``scoring="name"``) or be added to it (``weighing={"others": {"name": weight}}``)."""


def parts_of(config: SearchConfig) -> dict[str, str]:
    """The parts of a score (see `s3_retriever.documents.Span.parts`) and the scorer of each."""
    parts = {"s3": config.scoring}
    if config.bm25:
        parts["bm25"] = "bm25"
    return parts | {name: name for name in config.weighing.others}


def document_parts_of(config: SearchConfig, known: Container[str]) -> dict[str, str]:
    """Parts and scorers that tell whole documents apart: by words, or else as sentences are.

    Args:
        config: What to do; a part of weight 0 is left out.
        known: Names of the scorers there are; not every one has its like for documents.
    """
    kind = "bm25" if config.bm25 else config.scoring
    scales = {"place": f"{kind} of places", "whole": f"{kind} of documents"}
    weights = config.weighing.weights
    return {part: name for part, name in scales.items() if weights[part] and name in known}


def lead_parts_of(config: SearchConfig, known: Container[str]) -> dict[str, str]:
    """Parts and scorers of what spans lead to, the words of whole documents among them.

    Args:
        config: What to do.
        known: Names of the scorers there are; where one has its like for leads, that is taken.
    """
    own, whole = parts_of(config), document_parts_of(config, known).get("whole")
    likes = {part: f"{name} of leads" for part, name in own.items()}
    found = own | {part: name for part, name in likes.items() if name in known}
    return found if whole is None else found | {"whole": whole}


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
