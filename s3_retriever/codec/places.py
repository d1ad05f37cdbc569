"""The words of a question that say where to look, found in the queries the model makes of it.

"In the lease of Ostrander Mill, who pays for heating?" names a document and then asks. The words
that name it stand elsewhere than the passage that answers, so they should choose the document and
leave the passage to the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from s3_retriever.errors import InputError

OUTPUTS = 5
"""A token's own logit, and those of a boundary behind or before it; see `parse_logits`."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaceHead:
    """A linear head over the queries of a question's tokens.

    A question's n tokens have 2n - 1 parses: no clause that names a document, one of the first m
    tokens, or one of the last m, for every m from 1 to n - 1. A parse has the sum of its tokens'
    logits and of those of the boundary; a softmax over all parses gives their probabilities.

    Attributes:
        weight: ``f32[H · d, 5]``, over raw queries.
        bias: ``f32[6]``; the last is the logit of the parse without a clause.

    Raises:
        InputError: shapes that do not fit each other.
    """

    weight: Tensor
    bias: Tensor

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.weight.shape[1] != OUTPUTS:
            raise InputError(f"place head: weight is {list(self.weight.shape)}, want [H · d, 5]")
        if tuple(self.bias.shape) != (OUTPUTS + 1,):
            raise InputError(f"place head: bias is {list(self.bias.shape)}, want [6]")

    def clause(self, queries: Tensor) -> slice:
        """Find the tokens that name a document: those that more likely do than not.

        Args:
            queries: ``f32[n, H, d]``, n > 0, before rotary embedding.

        Returns:
            The first or the last tokens of the question, never all of them; an empty slice where
            nothing names a document.
        """
        count = len(queries)
        rows = queries.flatten(1).float() @ self.weight + self.bias[:OUTPUTS]
        parses = parse_logits(rows[None], self.bias[OUTPUTS], torch.tensor([count]))[0].softmax(0)
        in_front = parses[1:count].flip(0).cumsum(0).flip(0)  # token t is among the first m
        behind = parses[count:].cumsum(0)  # token t + 1 is among the last m
        last = int((in_front > 0.5).sum())
        return slice(0, last) if last else slice(count - int((behind > 0.5).sum()), count)


def parse_logits(rows: Tensor, none: Tensor, lengths: Tensor) -> Tensor:
    """Logits of the parses of several questions.

    Args:
        rows: ``f32[Q, n, 5]``: of each token, the logit of standing in the clause, of being the
            last of one in front, of being the first behind one, of being the last before one
            behind, and of being the first of one.
        none: ``f32[]``, of no clause.
        lengths: ``int64[Q]``, tokens of each question, at most n.

    Returns:
        ``f32[Q, 2n - 1]``: no clause, the first 1 to n - 1 tokens, all but the first 1 to n - 1;
        minus infinity where a question has no more tokens.
    """
    inside, last, after, before, first = rows.unbind(2)
    total = inside.cumsum(1)
    own, whole = total[:, :-1], total.gather(1, lengths[:, None] - 1)
    front = own + last[:, :-1] + after[:, 1:]
    behind = whole - own + before[:, :-1] + first[:, 1:]
    beyond = torch.arange(1, rows.shape[1]) >= lengths[:, None]
    clauses = torch.cat([front, behind], 1).masked_fill(beyond.repeat(1, 2), -torch.inf)
    return torch.cat([none.expand(len(rows), 1), clauses], 1)
