"""A generator that writes what a test wants, in place of a model too small to make sense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_retriever.answering.generator import TextGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_retriever.backbone import Backbone


class Scripted(TextGenerator):
    """Writes given texts, one for each prompt.

    Attributes:
        prompts: What it was given.
    """

    def __init__(self, backbone: Backbone, *texts: str) -> None:
        super().__init__(backbone)
        self.prompts: list[str] = []
        self._texts = list(texts)

    def generate(self, prompt: str, **settings: Any) -> str:
        self.prompts.append(prompt)
        return self._texts.pop(0)

    def stream(self, prompt: str, **settings: Any) -> Iterator[str]:
        yield from self.generate(prompt).splitlines(keepends=True)
