"""What examples need not spend: one copy of the default model will do, and few words of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig

from s3_retriever.answering import generator
from s3_retriever.backbone import Backbone

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = 4
"""Most tokens that a model writes."""


def few_words(max_new_tokens: int, **others: Any) -> GenerationConfig:
    """The settings of a generation that ends soon."""
    return GenerationConfig(max_new_tokens=min(max_new_tokens, WORDS), **others)


def loaded_once(default: Callable[[], Backbone], load: Callable[..., Backbone]) -> Any:
    """`Backbone.load` that gives the same default model to everyone who asks for it."""

    def shared(name_or_path: Any = None, *, progress: Any = None, **options: Any) -> Backbone:
        if name_or_path is None and not options:
            return default()
        return load(name_or_path, progress=progress, **options)

    return shared


def install() -> None:
    """Spare both in this process for good."""
    load, made = Backbone.load, []

    def default() -> Backbone:
        if not made:
            made.append(load())
        return made[0]

    generator.GenerationConfig = few_words  # type: ignore[attr-defined,misc]
    Backbone.load = loaded_once(default, load)  # type: ignore[method-assign]
