"""Frozen, keyword-only settings that refuse unknown names and impossible values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, Self, TypedDict

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from s3_retriever.errors import InputError, did_you_mean


class Unset(Enum):
    """Type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET
"""As an argument: the setting's own default, whatever an index or a retriever has set."""


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

        A value of ``None`` changes nothing, so that arguments of a call can be passed on as they
        are; `UNSET` puts a setting back to its default.

        Raises:
            InputError: an unknown name or an impossible value.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        kept = {name: value for name, value in dict(self).items() if given.get(name) is not UNSET}
        changed = {name: value for name, value in given.items() if value is not UNSET}
        return type(self)(**{**kept, **changed})


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{kind.__name__} has no setting {name!r}; {did_you_mean(name, kind.model_fields)}"
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


class Weighing(Config):
    """The constants of the scoring.

    Chosen on labelled questions by ``benchmarks/choose_constants.py``, which leaves two thirds of
    the questions of each set to the tables; it writes ``benchmarks/results/constants.json``.

    Attributes:
        reach: Characters over which neighbouring sentences share evidence: a neighbour counts
            ``exp(-distance / reach)``. See `s3_retriever.searching.passages.Passages.smooth`.
        power: Between adding neighbours up (1) and taking the best of them (large).
        bm25: Weight of standardised BM25 beside the model's evidence, whose weight is 1.
        meaning: Weight of what sentences mean, see `s3_retriever.searching.meaning`; 0 where the
            bank has no head for it.
        meaning_reach: As `reach`, of their vectors.
        place: Weight of what names the document: where words of the question do, how well they fit
            the whole of it.
        whole: Weight of how well the rest of the question fits the whole document.
        document: Weight of the best sentence of the same document.
        hop: Weight of what the second hop adds.
        hop_sources: How many documents contribute their best span to the second hop.
        hop_temperature: A source span d below the best one counts ``exp(-d / hop_temperature)``,
            and a direct answer likewise; see `s3_retriever.searching.second_hop.with_hop`.
        hop_least: A source span that counts less leads nowhere and is not read.
        span_characters: A span grows by whole sentences until it has so many characters; in dense
            scripts a half or a third of them.
        others: Weights of further scorers, by their names in `s3_retriever.searching.scorers`.
    """

    reach: float = Field(default=200.0, gt=0)
    power: float = Field(default=3.0, ge=1)
    bm25: float = Field(default=0.6, ge=0)
    meaning: float = Field(default=0.5, ge=0)
    meaning_reach: float = Field(default=200.0, gt=0)
    place: float = Field(default=3.0, ge=0)
    whole: float = Field(default=0.5, ge=0)
    document: float = Field(default=0.5, ge=0)
    hop: float = Field(default=0.8, ge=0)
    hop_sources: int = Field(default=3, ge=1)
    hop_temperature: float = Field(default=3.0, gt=0)
    hop_least: float = Field(default=0.1, gt=0, le=1)
    span_characters: int = Field(default=240, ge=0)
    others: Mapping[str, float] = Field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each part of a score (see `s3_retriever.documents.Span.parts`)."""
        own = {"s3": 1.0, "bm25": self.bm25, "meaning": self.meaning, "place": self.place}
        own |= {"whole": self.whole, "document": self.document, "hop": self.hop}
        return own | dict(self.others)


class SearchFields(BaseModel):
    """The settings of a search as fields of whatever carries them; see `SearchConfig`."""

    k: int = Field(default=8, ge=1)
    token_budget: int | None = Field(default=None, ge=1)
    scoring: str = "attention"
    bm25: bool = True
    exact: bool = False
    second_hop: bool = True
    bias_tokens: int = Field(default=0, ge=0)
    order: Literal["score", "document"] = "score"
    relevance: bool = True
    min_relevance: float | None = Field(default=None, ge=0, le=1)
    weighing: Weighing = Weighing()


class SearchConfig(Config, SearchFields):
    """How spans are scored, shaped and chosen.

    Attributes:
        k: Most spans returned; fewer come back where fewer exist.
        token_budget: Most tokens (of the target model) in all returned spans together; the last
            span is cut at the end of a token to fit. ``None`` for no bound but `k`.
        scoring: Whose evidence the model's is, by its name in `s3_retriever.searching.scorers`:
            ``"attention"`` (softmax late interaction through the codes) or ``"coactivation"``
            (equation 7 of arXiv 2601.17702).
        bm25: Fuse with BM25.
        exact: Let attention read the codes of every token. Otherwise, in a text of more than
            `s3_retriever.searching.searcher.FAST_FROM` tokens, cells of near keys tell which
            sentences are worth it (see `s3_retriever.searching.first_look`).
        second_hop: Ask the other documents for what the best spans name (see
            `s3_retriever.reading.leads`).
        bias_tokens: Tokens of lead and of tail of each document that a span comes from, given to
            the reader model beside the spans (the paper's M_bias); 0 for none.
        order: ``"score"`` (best first) or ``"document"`` (reading order).
        relevance: Tell how likely each span is to hold evidence (`Span.relevance`).
        min_relevance: Of the `k` spans, those below it are left out; None keeps them all.
        weighing: Constants of the scoring.
    """

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed, as `Config.replace` does.

        A mapping for `weighing` changes the constants it names and keeps the others.
        """
        weighing = changes.get("weighing")
        if isinstance(weighing, Mapping):
            changes["weighing"] = self.weighing.replace(**weighing)
        return super().replace(**changes)


class SearchSettings(TypedDict, total=False):
    """The fields of `SearchConfig` as keyword arguments of a search.

    What is not given, or None, is as the index has it; `UNSET` puts a setting back to its default
    in `SearchConfig`, whatever the index has: ``token_budget=UNSET`` is no budget.
    """

    k: int | Unset | None
    token_budget: int | Unset | None
    scoring: str | Unset | None
    bm25: bool | Unset | None
    exact: bool | Unset | None
    second_hop: bool | Unset | None
    bias_tokens: int | Unset | None
    order: str | Unset | None
    relevance: bool | Unset | None
    min_relevance: float | Unset | None
    weighing: Weighing | Mapping[str, Any] | Unset | None


class AnswerConfig(Config):
    """How the same model answers from the spans.

    Attributes:
        max_new_tokens: Most tokens generated.
        token_budget: Most tokens of evidence in the prompt.
        k: Most spans in the prompt.
        system: System message, or ``None`` for the default instruction.
        temperature: 0 for greedy decoding, above 0 for sampling.
        stop: More strings that end the answer.
    """

    max_new_tokens: int = Field(default=128, ge=1)
    token_budget: int = Field(default=768, ge=1)
    k: int = Field(default=8, ge=1)
    system: str | None = None
    temperature: float = Field(default=0.0, ge=0)
    stop: tuple[str, ...] = ()


class AnswerSettings(TypedDict, total=False):
    """The fields of `AnswerConfig` as keyword arguments, like `SearchSettings`."""

    max_new_tokens: int | Unset | None
    token_budget: int | Unset | None
    k: int | Unset | None
    system: str | Unset | None
    temperature: float | Unset | None
    stop: Sequence[str] | Unset | None
