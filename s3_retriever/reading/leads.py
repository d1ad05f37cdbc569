"""Second hop: names and numbers in the best spans become a query against all other documents.

A question may need a chain of facts: "Who founded the college where Ada Finch taught?" leads to a
span about Ada Finch, and the answer stands where the college is described. So the model reads the
question and, behind it, the best span of each of the three best documents; the tokens of the names
and numbers in the span, where the question does not hold them already, then ask as the question's
own tokens did. The memory this takes is that of three spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from s3_retriever.reading.questions import head_queries
from s3_retriever.text.names import new_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from s3_retriever.backbone import Backbone, TokenizedText
    from s3_retriever.codec import Bank
    from s3_retriever.config import ScanConfig
    from s3_retriever.text.names import Naming

_LONGEST = 400
"""Characters of a span that are read."""


@dataclass(frozen=True, slots=True)
class Lead:
    """What a span names beyond the question.

    Attributes:
        names: In the order of the text.
        queries: ``f32[n, H, d]`` on the CPU, of the n tokens that the names are made of; empty
            where there are none.
    """

    names: tuple[str, ...]
    queries: Tensor


def read_leads(
    backbone: Backbone, bank: Bank, spans: Sequence[tuple[str, str, Naming]], config: ScanConfig
) -> list[Lead]:
    """Read spans behind their questions, all in the same batches, and return what they name.

    Args:
        backbone: The model.
        bank: Says which heads to read.
        spans: Of each its question, as it was asked, its text, and how names are told there.
        config: The preamble, and the size of a batch.

    Returns:
        One lead for each span, without names where it names nothing new, or does not fit the
        model's window behind the question.
    """
    wholes = [f"{question} {text.strip()[:_LONGEST]}" for question, text, _ in spans]
    tokens = backbone.text.encode_batch(wholes)
    places = [
        new_names(question, whole, naming) if len(read) <= backbone.spec.max_positions else []
        for (question, _, naming), whole, read in zip(spans, wholes, tokens, strict=True)
    ]
    asking = [number for number, named in enumerate(places) if named]
    rows = head_queries(backbone, bank.calibration.heads, [wholes[n] for n in asking], config)
    leads = [Lead((), torch.empty(0))] * len(spans)
    for number, queries in zip(asking, rows, strict=True):
        names = tuple(wholes[number][first:last] for first, last in places[number])
        leads[number] = Lead(names, queries[_inside(tokens[number], places[number])])
    return leads


def _inside(tokens: TokenizedText, places: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of the tokens that have a part in some places."""
    return [
        number
        for number, (start, end) in enumerate(zip(tokens.starts, tokens.ends, strict=True))
        if any(start < last and first < end for first, last in places)
    ]
