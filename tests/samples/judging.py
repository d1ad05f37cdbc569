"""A relevance head for which the words that a question and a span share decide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from random_bank import make_bank
from s3_retriever.codec.relevance import RelevanceHead
from s3_retriever.engine import EndogenousIndex
from small_corpus import BY_WORDS, DOCUMENTS

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

BY_SHARED_WORDS = RelevanceHead(
    bias=-4.0, weights={"words": 8.0, "attention": 0.01, "meaning": 0.0, "whole": 0.0}
)


def judging_bank(backbone: Backbone) -> Bank:
    return replace(make_bank(backbone), relevance=BY_SHARED_WORDS)


def judging_index(backbone: Backbone) -> EndogenousIndex:
    """The small corpus, where words decide what is found and what it is worth."""
    return EndogenousIndex.build(
        DOCUMENTS, model=backbone, bank=judging_bank(backbone), search=BY_WORDS, progress=False
    )
