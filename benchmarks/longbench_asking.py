"""One item of LongBench asked with the full context and with what each contender retrieves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from longbench_metrics import score
from longbench_tasks import fitted

from s3_retriever.answering.generator import TextGenerator
from s3_retriever.backbone.modes import evaluating
from s3_retriever.documents import Document
from s3_retriever.evaluate.answers import divergence, log_probabilities
from s3_retriever.evaluate.metrics import answer_in
from s3_retriever.evaluate.rankers.bench import Bench
from s3_retriever.evaluate.rankers.contenders import contenders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from longbench_tasks import Item
    from torch import Tensor

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank, TokenCodes
    from s3_retriever.evaluate.rankers.hits import Hit, Ranker

FULL = "full"
"""Name of the contender that reads the whole context, or as much as the window holds."""

VARIANTS = {
    "attention+bm25": "",
    "attention": "",
    "paper": "",
    "bm25": "800 characters, smoothed",
    "embedding": "400 characters",
}
"""Who retrieves; of chunks, the setting that was best on the sets of the evidence."""

BETWEEN = "\n\n"
"""Between places of a context that do not touch."""


@dataclass(frozen=True, slots=True)
class Retriever:
    """A contender at one setting.

    Attributes:
        name: In JSON.
        title: In tables.
        variant: Of its chunks; else empty.
        build: Makes the ranker of a context.
    """

    name: str
    title: str
    variant: str
    build: Callable[[Bench], Ranker]


def retrievers() -> list[Retriever]:
    """All that retrieve."""
    known, found = contenders(), []
    for name, label in VARIANTS.items():
        (variant,) = (own for own in known[name].variants if own.label == label)
        found.append(Retriever(name, known[name].title, label, variant.build))
    return found


def taken(hits: Sequence[Hit], places: TokenCodes, budget: int) -> list[tuple[int, int]]:
    """The first tokens of the hits, in the order of the text.

    Args:
        hits: Best first, all of one text.
        places: Where the tokens of the text stand.
        budget: Tokens; the last hit is cut short.

    Returns:
        Ranges of characters that do not touch, in rising order.
    """
    kept = np.zeros(len(places) + 2, dtype=bool)
    inside = kept[1:-1]
    left = budget
    for hit in hits:
        own = (places.starts < hit.end) & (places.ends > hit.start) & ~inside
        found = np.flatnonzero(own)[:left]
        inside[found] = True
        left -= len(found)
    edges = np.diff(kept.astype(np.int8))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [
        (int(places.starts[first]), int(places.ends[last]))
        for first, last in zip(firsts, lasts, strict=True)
    ]


class Asker:
    """Asks items with one model.

    Args:
        backbone: The model, which both retrieves and answers.
        bank: Its own; None for the one that belongs to it.
        budget: Tokens of retrieved context.
        window: Tokens of a prompt and its answer together; None for all that the model has.
    """

    def __init__(
        self, backbone: Backbone, bank: Bank | None, budget: int, window: int | None = None
    ) -> None:
        self.backbone, self.bank, self.budget = backbone, bank, budget
        self.generator = TextGenerator(backbone)
        own = self.generator.context_window
        self.window = min(window or own, own)
        self.retrievers = retrievers()

    def outcome(self, item: Item) -> dict[str, Any]:
        """Ask an item in every way.

        Returns:
            Its task and id, tokens of its context, whether all of these fitted, and for each
            contender what `Asked.outcome` gives.
        """
        bench = Bench([Document(id=item.id, text=item.context)], self.backbone, self.bank)
        asked = Asked(item, self)
        by_name = {FULL: asked.outcome(item.context)}
        for retriever in self.retrievers:
            hits = retriever.build(bench).rank(item.query)
            ranges = taken(hits, bench.places[0], self.budget)
            context = BETWEEN.join(item.context[start:end] for start, end in ranges)
            by_name[retriever.name] = asked.outcome(context)
        return {
            "task": item.task.name,
            "id": item.id,
            "tokens": bench.tokens,
            "whole": asked.whole,
            "contenders": by_name,
        }


class Asked:
    """One item, asked with one context after the other, the full one first.

    Args:
        item: What is asked.
        asker: With which model.

    Attributes:
        whole: Whether the full context fitted.
    """

    def __init__(self, item: Item, asker: Asker) -> None:
        self._item, self._generator, self._window = item, asker.generator, asker.window
        self._full: Tensor | None = None
        self.whole = True

    def outcome(self, context: str) -> dict[str, Any]:
        """Answer from a context, and measure the answer.

        Returns:
            The answer, its score, and the tokens of the context; of questions with several hops
            also whether a right answer stands in it, the mean negative log-likelihood of a token
            of the first right answer, and the mean over these tokens of the divergence
            ``KL(full ‖ this)``, both in nats.
        """
        item, text = self._item, self._generator.backbone.text
        written = item.task.written(context, item.asked)
        prompt, left = fitted(self._generator, item.task, written, self._window)
        answer = self._answer(prompt)
        found: dict[str, Any] = {
            "answer": answer,
            "score": score(item, answer),
            "tokens": text.count(context),
        }
        if context == item.context:
            self.whole = left == written
        if item.task.hops:
            shown = left.removesuffix(item.task.behind(item.asked))
            found["in_context"] = answer_in(shown, item.answers)
            found |= self._likelihood(prompt)
        return found

    def _answer(self, prompt: str) -> str:
        """Greedily; where only its first line counts, no more of it."""
        if self._item.task.line:
            return self._line(prompt)
        pieces = self._generator.stream(prompt, max_new_tokens=self._item.task.max_new_tokens)
        answer = ""
        for piece in pieces:
            answer += piece
            if self._item.task.examples and "\n" in answer.lstrip("\n"):
                break
        return answer

    def _line(self, prompt: str) -> str:
        """Greedily to the end of the line, which the first token is not."""
        backbone = self._generator.backbone
        ids = torch.tensor([self._generator.encode(prompt)], device=backbone.device)
        own = backbone.model.generation_config.eos_token_id
        ends = {backbone.tokenizer.encode("\n", add_special_tokens=False)[-1]}
        ends |= set(own if isinstance(own, list) else [own]) - {None}
        with backbone.lock, evaluating(backbone.model):
            made = backbone.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=1,
                max_new_tokens=self._item.task.max_new_tokens,
                eos_token_id=sorted(ends),
                pad_token_id=min(ends),
            )
        written: str = backbone.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
        return written

    @cached_property
    def _right(self) -> list[int]:
        """Tokens of the first right answer."""
        generator, item = self._generator, self._item
        space = "" if generator.has_chat_template else " "
        ids: list[int] = generator.backbone.text.encode(space + item.answers[0]).ids.tolist()
        return ids[: item.task.max_new_tokens]

    def _likelihood(self, prompt: str) -> dict[str, float]:
        generator, right = self._generator, self._right
        logs = log_probabilities(generator.backbone, generator.encode(prompt), right)
        if self._full is None:
            self._full = logs
        nll = -float(logs[range(len(right)), right].mean())
        return {"nll": nll, "kl": divergence(self._full, logs)}
