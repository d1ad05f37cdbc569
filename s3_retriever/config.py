"""Frozen, keyword-only settings that refuse unknown names and impossible values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from s3_retriever.errors import InputError


class Config(BaseModel):
    """Base of all settings: frozen, and a misspelt or impossible value is an `InputError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(_explain(type(self), error)) from error

    @classmethod
    def of(cls, given: Self | Mapping[str, Any] | None) -> Self:
        """Return settings given as they are, as a mapping of names, or, where None, the defaults.

        Raises:
            InputError: something else, an unknown name or an impossible value.
        """
        if given is None or isinstance(given, cls):
            return given or cls()
        if not isinstance(given, Mapping):
            kind = type(given).__name__
            raise InputError(f"settings must be a {cls.__name__} or a dict of them, not {kind}")
        return cls(**given)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed and everything validated again.

        Entries that are ``None`` are ignored, so call-time arguments can be passed on as they are.

        Raises:
            InputError: an unknown name or an impossible value.
        """
        kept = {name: value for name, value in changes.items() if value is not None}
        return type(self)(**{**dict(self), **kept})


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    from difflib import get_close_matches

    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = get_close_matches(name, kind.model_fields, n=1)
        hint = (
            f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(kind.model_fields)}"
        )
        return f"{kind.__name__} has no setting {name!r}{hint}"
    hint = '; write it like "4GiB" or "500MB"' if first["type"].startswith("byte_size") else ""
    said = f"{first['msg'].lower()}{hint}"
    return f"{kind.__name__}: {name}={first.get('input')!r} is invalid: {said}"


class ScanConfig(Config):
    """How the text is streamed through the model.

    Attributes:
        chunk_tokens: New tokens of one document read in one chunk.
        overlap_tokens: Tokens of left context repeated before every chunk but the first.
        batch_tokens: Upper bound on tokens, padding included, in one forward pass.
        preamble: Neutral text read before every chunk; it absorbs the attention sink and its
            keys are dropped.
        max_memory: Cap on accelerator memory above the weights, such as ``"4GiB"`` or ``"500MB"``
            (in powers of 1024 and of 1000) or a number of bytes; the batch
            is chosen to fit. ``None`` keeps `batch_tokens`.
    """

    chunk_tokens: int = Field(default=512, ge=16)
    overlap_tokens: int = Field(default=64, ge=0)
    batch_tokens: int = Field(default=2048, ge=16)
    preamble: str = "Passage from a reference work.\n\n"
    max_memory: ByteSize | None = Field(default=None, gt=0)


class SearchConfig(Config):
    """How spans are scored, shaped and chosen.

    Attributes:
        k: Most spans returned.
        token_budget: Most tokens (of the target model) in all returned spans together; the last
            span is cut at a sentence or token end to fit. ``None`` for no bound but `k`.
        scoring: ``"attention"`` (softmax late interaction through the codes) or
            ``"coactivation"`` (the paper's equation 7).
        bm25: Fuse with BM25.
        second_hop: Ask the other documents for what the best spans name (see
            `s3_retriever.reading.leads`).
        bias_tokens: Tokens of lead and of tail of each source document given to the reader
            model (the paper's M_bias); 0 for none.
        order: ``"score"`` (best first) or ``"document"`` (reading order).
    """

    k: int = Field(default=8, ge=1)
    token_budget: int | None = Field(default=None, ge=1)
    scoring: Literal["attention", "coactivation"] = "attention"
    bm25: bool = True
    second_hop: bool = True
    bias_tokens: int = Field(default=0, ge=0)
    order: Literal["score", "document"] = "score"


class AnswerConfig(Config):
    """How the same model answers from the spans.

    Attributes:
        max_new_tokens: Most tokens generated.
        token_budget: Most tokens of evidence in the prompt.
        k: Most spans in the prompt.
        system: System message, or ``None`` for the default instruction.
    """

    max_new_tokens: int = Field(default=128, ge=1)
    token_budget: int = Field(default=768, ge=1)
    k: int = Field(default=8, ge=1)
    system: str | None = None
