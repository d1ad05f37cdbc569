"""An answer under way."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from s3_retriever.documents import Span


class AnswerStream:
    """The pieces of an answer as the model writes it; an iterator, to be taken once.

    The pieces joined are the text of the `s3_retriever.documents.Answer` to the same question.

    Attributes:
        question: The question as asked.
        spans: Those that the model was given; number ``i`` in the prompt is ``spans[i - 1]``.
        prompt_tokens: Length of the prompt in tokens, which bounds the KV cache.
        seconds: Wall-clock seconds of ``"read"``, ``"search"`` and, once all pieces have been
            taken, ``"answer"``.
        steps: Seconds of the steps of the search, by name.
    """

    def __init__(
        self,
        question: str,
        spans: tuple[Span, ...],
        prompt_tokens: int,
        seconds: dict[str, float],
        pieces: Iterator[str],
        steps: Mapping[str, float] | None = None,
    ) -> None:
        self.question, self.spans, self.prompt_tokens = question, spans, prompt_tokens
        self.seconds = seconds
        self.steps = dict(steps or {})
        self._pieces = self._timed(stripped(pieces))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """End the generation after the token at work."""
        self._pieces.close()

    def _timed(self, pieces: Iterator[str]) -> Generator[str, None, None]:
        begun = perf_counter()
        yield from pieces
        self.seconds["answer"] = perf_counter() - begun


def stripped(pieces: Iterator[str]) -> Iterator[str]:
    """Leave out white space at both ends of a text that comes in pieces."""
    said, waiting = False, ""
    for piece in pieces:
        text = waiting + piece if said else piece.lstrip()
        kept = text.rstrip()
        waiting = text[len(kept) :]
        if kept:
            said = True
            yield kept
