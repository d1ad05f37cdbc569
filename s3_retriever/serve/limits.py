"""How much a server takes on."""

from __future__ import annotations

from pydantic import Field

from s3_retriever.config import Config


class Limits(Config):
    """What is refused, so that nobody keeps the one model from the others.

    Attributes:
        body_bytes: Largest body of a request.
        question_characters: Longest question.
        waiting: Most requests that wait for the model; further ones are told to come back.
        answers: Most answers under way or waiting.
        new_tokens: Longest answer, in tokens.
    """

    body_bytes: int = Field(default=256 * 1024, ge=1024)
    question_characters: int = Field(default=2000, ge=1)
    waiting: int = Field(default=256, ge=1)
    answers: int = Field(default=16, ge=1)
    new_tokens: int = Field(default=1024, ge=1)
