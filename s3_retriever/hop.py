"""The second hop: what the best span names is asked of the other documents.

A question may need a chain of facts: "Who founded the college where Ada Finch taught?" leads to a
span about Ada Finch, and the answer stands where the college is described. So the model reads the
question and, behind it, the best span; the tokens of the names and numbers in the span, where the
question does not hold them already, then ask as the question's own tokens did. The memory this
takes is that of one span.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3_retriever.lexical import words
from s3_retriever.question import head_queries

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig

_LONGEST = 1000
"""Characters of a span that are read."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Lead:
    """What a span names beyond the question.

    Attributes:
        names: In the order of the text.
        queries: ``f32[n, H, d]`` on the CPU, of the n tokens that the names are made of.
    """

    names: tuple[str, ...]
    queries: Tensor


def read_lead(
    backbone: Backbone, bank: Bank, question: str, text: str, config: ScanConfig
) -> Lead | None:
    """Read a span behind the question, and return what it names.

    Args:
        backbone: The model.
        bank: Says which heads to read.
        question: As it was asked.
        text: Of the span.
        config: The preamble.

    Returns:
        The lead; None where the span names nothing new, or does not fit the model's window behind
        the question.
    """
    whole = f"{question} {text.strip()[:_LONGEST]}"
    places = new_names(question, whole)
    tokens = backbone.text.encode(whole)
    if not places or len(tokens.ids) > backbone.spec.max_positions:
        return None
    inside = [
        number
        for number, (start, end) in enumerate(zip(tokens.starts, tokens.ends, strict=True))
        if any(start < last and first < end for first, last in places)
    ]
    (queries,) = head_queries(backbone, bank.calibration.heads, [whole], config)
    return Lead(tuple(whole[first:last] for first, last in places), queries[inside])


def new_names(question: str, whole: str) -> list[tuple[int, int]]:
    """Characters of the names behind a question that are not in it.

    A name is a word that begins with a capital letter or a digit, other than a stop word. Scripts
    without capital letters have none but numbers.
    """
    asked = set(words(question))
    return [
        found.span()
        for found in _WORD.finditer(whole, len(question))
        if (found[0][0].isupper() or found[0][0].isdigit())
        and words(found[0])
        and asked.isdisjoint(words(found[0]))
    ]
