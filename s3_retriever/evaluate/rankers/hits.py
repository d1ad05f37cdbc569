"""What a ranker gives back: places in documents, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEPTH = 128
"""Most hits that a ranker returns for a question."""


class Hit(NamedTuple):
    """A returned piece of text.

    Attributes:
        document_id: Id of the source document; ``""`` for a text that no document holds, which
            spends its characters and covers nothing.
        start: First character.
        end: One past the last character.
        score: Higher is better; comparable within one question only.
    """

    document_id: str
    start: int
    end: int
    score: float

    @property
    def length(self) -> int:
        """Characters."""
        return self.end - self.start


class Ranker(Protocol):
    """Ranks pieces of one corpus.

    Attributes:
        nbytes: What it must keep to rank, besides the texts.
    """

    nbytes: int

    def rank(self, question: str) -> Sequence[Hit]:
        """Return hits, best first, at most `DEPTH`."""
        ...


def within(hits: Iterable[Hit], budget: int) -> tuple[Hit, ...]:
    """Take hits in order until `budget` characters are spent; the last one is cut short."""
    kept: list[Hit] = []
    left = budget
    for hit in hits:
        if left <= 0:
            break
        kept.append(hit._replace(end=min(hit.end, hit.start + left)))
        left -= hit.length
    return tuple(kept)
