"""What may be asked, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s3_retriever.errors import InputError
from s3_retriever.serve.refusals import RefusedError

if TYPE_CHECKING:
    from s3_retriever.serve.limits import Limits

DEEPEST = 16
"""Conditions inside conditions of a filter."""

Count = Annotated[int, Field(ge=1, le=100)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]


class Asked(BaseModel):
    """A question and what is to be searched."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(description="Any text.")
    filter: dict[str, Any] | None = Field(
        default=None, description="Conditions on the documents' metadata, all of which must hold."
    )


class Settings(BaseModel):
    """Settings of a search; what is not given is as the index has it."""

    k: Count | None = Field(default=None, description="Most spans.")
    token_budget: Tokens | None = Field(default=None, description="Most tokens of all spans.")
    scoring: str | None = Field(default=None, description="Whose evidence the model's is.")
    bm25: bool | None = Field(default=None, description="Add words in common.")
    second_hop: bool | None = Field(
        default=None, description="Ask the other documents for what the best spans name."
    )
    exact: bool | None = Field(
        default=None, description="Read the codes of every token of a large text."
    )
    relevance: bool | None = Field(default=None, description="Tell how likely spans are.")
    min_relevance: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Leave out spans that are less likely to hold evidence."
    )
    bias_tokens: Annotated[int, Field(ge=0, le=4096)] | None = Field(
        default=None, description="Tokens of lead and tail of each document found, as well."
    )

    def given(self) -> dict[str, Any]:
        """The settings that are given, by name."""
        return {name: getattr(self, name) for name in Settings.model_fields}


class SearchAsked(Asked, Settings):
    """A search."""

    order: Literal["score", "document"] | None = Field(
        default=None, description="Best first, or in reading order."
    )
    ranker: str | None = Field(
        default=None,
        description="Another ranker in place of the model, one of those that GET /about names; "
        "then only k and filter count.",
    )


class AnswerAsked(Asked, Settings):
    """A question that the model is to answer."""

    max_new_tokens: Tokens | None = Field(default=None, description="Most tokens of the answer.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        default=None, description="0 for the likeliest words."
    )
    stream: bool = Field(default=True, description="Server-sent events, or one JSON object.")


class PlaceAsked(BaseModel):
    """A piece of a document."""

    model_config = ConfigDict(extra="forbid")

    document: str = Field(description="Id of the document.")
    start: int = Field(ge=0, description="First character.")
    end: int = Field(ge=1, description="One past the last.")

    @property
    def document_id(self) -> str:
        """Id of the document."""
        return self.document


class HeatAsked(BaseModel):
    """Which tokens of some places the words of a question attend to."""

    model_config = ConfigDict(extra="forbid")

    question: str
    places: list[PlaceAsked] = Field(max_length=100)


def check(question: str, filter: dict[str, Any] | None, limits: Limits) -> None:
    """Refuse what is too long or too deep, before anything works on it.

    Raises:
        RefusedError: the question is too long.
        InputError: the filter is nested too deep.
    """
    if len(question) > limits.question_characters:
        raise RefusedError(
            413,
            f"the question has {len(question):,} characters, and may have "
            f"{limits.question_characters:,}; ask a shorter one",
        )
    if _depth(filter) > DEEPEST:
        raise InputError(f"the filter is nested more than {DEEPEST} deep; make it flatter")


def _depth(value: Any) -> int:
    """How deep lists and dicts lie in one another, as far as it matters."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [below for item in inner if not isinstance(item, Scalar) for below in item]
        depth += 1
    return depth


Scalar = str | int | float | bool | None
