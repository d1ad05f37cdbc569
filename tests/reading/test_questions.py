"""Questions as the model reads them: alone or together, the queries of their own tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from s3_retriever.backbone import Head
from s3_retriever.config import ScanConfig
from s3_retriever.reading.chunks import prefix_ids
from s3_retriever.reading.questions import head_queries
from small_corpus import QUESTIONS

if TYPE_CHECKING:
    from torch import Tensor

    from s3_retriever.backbone import Backbone

HEADS = (Head(0, 1), Head(2, 3))
ASKED = [*QUESTIONS, "Why?", "Where is the 🗼 of Cape Morrow? " * 5]


def alone(backbone: Backbone, question: str, prefix: tuple[int, ...]) -> Tensor:
    tokens = [*prefix, *backbone.text.encode(question).ids.tolist()]
    with backbone.tap((), HEADS) as reader:
        return reader.queries(torch.tensor([tokens]))[0, len(prefix) :].float()


@pytest.mark.parametrize("batch_tokens", [16, 200, 4096])
def test_questions_are_read_together_as_alone(tiny_backbone: Backbone, batch_tokens: int) -> None:
    config = ScanConfig(batch_tokens=batch_tokens)
    prefix = prefix_ids(tiny_backbone.text, config.preamble)
    found = head_queries(tiny_backbone, HEADS, ASKED, config)
    for question, queries in zip(ASKED, found, strict=True):
        expected = alone(tiny_backbone, question, prefix)
        assert queries.shape == (tiny_backbone.text.count(question), 2, 16)
        torch.testing.assert_close(queries, expected, rtol=1e-4, atol=1e-4)
