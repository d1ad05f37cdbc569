"""One bounded prompt from numbered spans, for the model that found them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.answering.generator import Message, TextGenerator
    from s3_retriever.config import AnswerConfig
    from s3_retriever.documents import Span

INSTRUCTION = (
    "Answer the question using only the numbered passages. Quote the words that answer it."
)


STOP = ("\n[", "\nQuestion:")
"""Where an answer ends: a small model tends to go on with passages and questions of its own."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt and what went into it.

    Attributes:
        text: Formatted by the model's chat template. Characters that no text has (U+FDD0 and its
            neighbours) mark what passages and question spell of control tokens; see `chat_prompt`.
        spans: Number ``i`` in the text is ``spans[i - 1]``.
        tokens: Length of the text in tokens.
    """

    text: str
    spans: tuple[Span, ...]
    tokens: int


def passages(spans: Sequence[Span]) -> str:
    """Number spans from 1 and say where each stands in its source.

    Rows of a table stand below its header, the first of several that follow each other.
    """
    return "\n\n".join(
        f"[{number}] ({span.document_id}, characters {span.start}–{span.end}) "
        f"{_below_header(span, before)}"
        for number, (before, span) in enumerate(pairwise([None, *spans]), start=1)
        if span is not None
    )


def _below_header(span: Span, before: Span | None) -> str:
    known = before is not None and before.document_id == span.document_id
    if not span.header or (known and before is not None and before.header == span.header):
        return span.text.strip()
    return f"\n{span.header}\n{span.text.strip()}"


def distinct(spans: Sequence[Span]) -> list[Span]:
    """Drop spans whose text repeats, header and all: the best-scoring one stays; in order."""
    best: dict[str, Span] = {}
    for span in sorted(spans, key=lambda span: -span.score):
        best.setdefault(span.header + span.text, span)
    return [span for span in spans if best[span.header + span.text] is span]


def build_prompt(
    generator: TextGenerator,
    question: str,
    spans: Sequence[Span],
    config: AnswerConfig,
    history: Sequence[Message] = (),
) -> Prompt:
    """Put a question and its spans into one prompt that leaves room for the answer.

    A text that comes twice is read once. Where prompt and answer do not fit the model's window,
    the oldest turns of the conversation are left out, then spans of the lowest score; the best one
    stays.

    Args:
        generator: Of the model that will answer.
        question: As asked.
        spans: In the order they are to be read.
        config: Instruction and length of the answer.
        history: What was said before, turn by turn.

    Raises:
        InputError: question, one span and answer do not fit the model's window.
    """
    kept, window, said = distinct(spans), generator.context_window, list(history)
    while True:
        prompt = _format(generator, question, kept, config, said)
        if prompt.tokens + config.max_new_tokens <= window:
            return prompt
        if said:
            said = said[2:]  # a question and its answer
            continue
        if len(kept) < 2:
            raise InputError(
                f"the question's prompt of {prompt.tokens} tokens with one passage and an answer "
                f"of {config.max_new_tokens} do not fit the model's window of {window}; shorten "
                "the question, or lower max_new_tokens or token_budget"
            )
        kept.remove(min(kept, key=lambda span: span.score))


def _format(
    generator: TextGenerator,
    question: str,
    spans: Sequence[Span],
    config: AnswerConfig,
    history: Sequence[Message],
) -> Prompt:
    messages = [
        {"role": "system", "content": config.system or INSTRUCTION},
        *history,
        {"role": "user", "content": f"{passages(spans)}\n\nQuestion: {question}"},
    ]
    text = generator.chat_prompt(messages)
    return Prompt(text, tuple(spans), generator.count(text))
