"""The rankers by name, each with the variants it is tried in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from s3_retriever.config import Weighing
from s3_retriever.errors import InputError
from s3_retriever.evaluate.rankers import build
from s3_retriever.evaluate.rankers.chunks import SIZES
from s3_retriever.evaluate.rankers.embedders import MINILM_NAME, as_embedder, minilm
from s3_retriever.evaluate.rankers.external import LangChainRanker
from s3_retriever.evaluate.rankers.sentence_embedder import SentenceEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from s3_retriever.documents import Document
    from s3_retriever.evaluate.rankers.bench import Bench
    from s3_retriever.evaluate.rankers.embedders import Embedder
    from s3_retriever.evaluate.rankers.hits import Ranker

Role = Literal["ours", "reference", "baseline"]
"""``"reference"`` rankers show what ours could be, and are no product to choose."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One setting of a ranker.

    Attributes:
        label: Such as ``"400 characters, smoothed"``; ``""`` where there is but one.
        build: Makes the ranker of a corpus.
    """

    label: str
    build: Callable[[Bench], Ranker]


@dataclass(frozen=True, slots=True)
class Contender:
    """A ranker that takes part, shown at the best of its variants.

    Attributes:
        name: On the command line and in JSON.
        title: In tables and reports.
        role: ``"ours"``, ``"reference"`` or ``"baseline"``.
        variants: At least one.
        heat: Whether `s3_retriever.searching.heat` explains its scores.
    """

    name: str
    title: str
    role: Role
    variants: tuple[Variant, ...]
    heat: bool = False


def _ours(name: str, title: str, scoring: str) -> Contender:
    ours, bm25 = scoring == "attention", name.endswith("+bm25")
    weighing = Weighing() if ours else Weighing(meaning=0)  # co-activation as the paper has it
    ranker = partial(build.IndexRanker, scoring=scoring, bm25=bm25, weighing=weighing)
    return Contender(name, title, "ours", (Variant("", ranker),), heat=ours)


def _dense(name: str, title: str, bits: Literal[4, 16]) -> Contender:
    return _reference(name, title, partial(build.dense, bm25=name.endswith("+bm25"), bits=bits))


def _reference(name: str, title: str, build: Callable[[Bench], Ranker]) -> Contender:
    return Contender(name, title, "reference", (Variant("", build),))


def _chunked(name: str, title: str, build: Callable[..., Ranker]) -> Contender:
    variants = tuple(
        Variant(
            f"{size} characters{', smoothed' if smooth else ''}",
            partial(build, size=size, smooth=smooth),
        )
        for size in SIZES
        for smooth in (False, True)
    )
    return Contender(name, title, "baseline", variants)


def embedding(
    model: Any = None, *, name: str | None = None, title: str | None = None
) -> tuple[Contender, Contender]:
    """An embedding model with FAISS, alone and with BM25 by reciprocal rank fusion.

    Args:
        model: A folder of sentence-transformers or a `SentenceEmbedder`, a LangChain `Embeddings`,
            or a LlamaIndex embedding; None for MiniLM, which is loaded when it is first needed.
        name: Of the first; the second is ``bm25+`` name. None for that of the folder, or else
            ``"embedding"``.
        title: Of the model in tables.

    Raises:
        InputError: none of these; see `SentenceEmbedder` for a folder.
    """
    given = None if model is None else as_embedder(model)
    name = name or (given.name if isinstance(given, SentenceEmbedder) else "embedding")
    title = title or (given.name if given else MINILM_NAME)
    load: Callable[[], Embedder] = cache(lambda: given or minilm())

    def alone(bench: Bench, *, size: int, smooth: bool) -> Ranker:
        return build.embedding(bench, load(), size=size, smooth=smooth)

    def fused(bench: Bench, *, size: int, smooth: bool) -> Ranker:
        return build.hybrid(bench, load(), size=size, smooth=smooth)

    return (
        _chunked(name, f"{title} + FAISS", alone),
        _chunked(f"bm25+{name}", f"BM25 + {title}, RRF", fused),
    )


def langchain(
    build: Callable[[Sequence[Document]], Any] | Any,
    *,
    name: str = "langchain",
    title: str | None = None,
) -> Contender:
    """A LangChain retriever.

    Args:
        build: Makes the retriever of a corpus; or a retriever that already holds the one corpus
            that is evaluated.
        name: Of the ranker.
        title: In tables.
    """
    ready = hasattr(build, "invoke")

    def ranker(bench: Bench) -> Ranker:
        return LangChainRanker(build if ready else build(bench.documents), bench.documents)

    title = title or (type(build).__name__ if ready else name)
    return Contender(name, title, "baseline", (Variant("", ranker),))


def contenders() -> dict[str, Contender]:
    """All rankers that need nothing from the user, by name."""
    known = (
        _ours("attention+bm25", "S3 + BM25", "attention"),
        _ours("attention", "S3", "attention"),
        _ours("coactivation", "S3 co-activation, query centred", "coactivation"),
        _ours("coactivation+bm25", "S3 co-activation + BM25", "coactivation"),
        _reference("codes", "S3, latents alone", build.codes_alone),
        _reference("paper", "co-activation, raw query", build.paper),
        _dense("dense+bm25", "dense keys + BM25", 16),
        _dense("dense", "dense keys, 16 bits", 16),
        _dense("dense-4bit+bm25", "dense keys, 4 bits + BM25", 4),
        _dense("dense-4bit", "dense keys, 4 bits", 4),
        _chunked("bm25", "BM25", build.bm25),
        *embedding(),
    )
    return {contender.name: contender for contender in known}


DEFAULT = (
    "attention+bm25",
    "attention",
    "coactivation",
    "paper",
    "dense",
    "bm25",
    "embedding",
    "bm25+embedding",
)
"""Names of the rankers that take part where none are named."""


def chosen(named: Iterable[str | Contender] | None) -> tuple[Contender, ...]:
    """The contenders of a list of names and contenders; None for the default ones.

    Raises:
        InputError: an unknown name, one that comes twice, or an empty list.
    """
    known = contenders()
    picked = []
    for item in DEFAULT if named is None else named:
        if isinstance(item, str) and item not in known:
            raise InputError(f"there is no ranker {item!r}; choose from {', '.join(known)}")
        picked.append(known[item] if isinstance(item, str) else item)
    names = [contender.name for contender in picked]
    if not names or len(set(names)) < len(names):
        raise InputError("name at least one ranker, and each of them once")
    return tuple(picked)
