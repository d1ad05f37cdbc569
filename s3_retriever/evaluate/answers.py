"""Answers that one reader model gives from what each ranker found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from s3_retriever.answering.generator import TextGenerator
from s3_retriever.answering.prompt import build_prompt
from s3_retriever.backbone.modes import evaluating
from s3_retriever.config import AnswerConfig
from s3_retriever.documents import Span
from s3_retriever.errors import InputError
from s3_retriever.evaluate.metrics import answer_in, exact_match, merge, token_f1
from s3_retriever.evaluate.rankers.hits import within
from s3_retriever.evaluate.results import READER_METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.documents import Document
    from s3_retriever.evaluate.rankers.hits import Hit
    from s3_retriever.evaluate.results import Evaluation, Run
    from s3_retriever.labelled.sets import LabelledQuestion, LabelledSet

FIRST_TOKENS = 8
"""Tokens of the gold answer over which the divergence from the full context is averaged."""

SHORT = AnswerConfig(
    max_new_tokens=32,
    system="Answer the question in a few words, using only the numbered passages.",
)
"""The same reader for every ranker: short answers, as the gold answers are."""


class Reader:
    """Answers questions from hits, and measures the answers.

    Args:
        backbone: The model.
        documents: The corpus.
        config: Instruction and length of the answer.
        budget: Characters of hits put into the prompt.
    """

    def __init__(
        self,
        backbone: Backbone,
        documents: Sequence[Document],
        config: AnswerConfig = SHORT,
        budget: int = 2000,
    ) -> None:
        self._backbone = backbone
        self._generator = TextGenerator(backbone)
        self._documents = {document.id: document for document in documents}
        self._config = config
        self._budget = budget

    def measure(
        self, question: LabelledQuestion, hits: Sequence[Hit], full: Tensor | None
    ) -> tuple[str, dict[str, float]]:
        """Measure the answer to one question.

        Args:
            question: With at least one answer.
            hits: Of a ranker; their first characters, up to the budget, go into the prompt in
                reading order.
            full: What `full_context` gave for this question.

        Returns:
            The answer, and the measures of `READER_METRICS`. ``nll`` is the mean negative
            log-likelihood of a token of the first gold answer, in nats; ``kl`` the mean over its
            first tokens of ``KL(full ‖ retrieved)``, NaN where there is no full context.
        """
        spans = self._spans(within(hits, self._budget))
        prompt = build_prompt(self._generator, question.question, spans, self._config)
        text = self._generator.generate(
            prompt.text, max_new_tokens=self._config.max_new_tokens
        ).strip()
        context = "\n".join(span.text for span in prompt.spans)
        ids = self._answer_ids(question)
        logs = self._log_probabilities(prompt.text, ids)
        likelihood = logs[torch.arange(len(ids)), torch.tensor(ids)]
        return text, {
            "em": exact_match(text, question.answers),
            "f1": token_f1(text, question.answers),
            "in_context": answer_in(context, question.answers),
            "nll": -float(likelihood.mean()),
            "kl": float("nan") if full is None else divergence(full, logs[:FIRST_TOKENS]),
        }

    def full_context(self, question: LabelledQuestion) -> Tensor | None:
        """Distributions of the answer's first tokens given the full context.

        The full context is the whole corpus where it fits the model's window, else the whole
        documents that hold the evidence; None where these do not fit, or are not known.

        Returns:
            ``f32[t, V]`` of log-probabilities along the first gold answer, t at most
            `FIRST_TOKENS`.
        """
        ids = self._answer_ids(question)
        named = {place.document_id for place in question.evidence}
        holding = [document for id, document in self._documents.items() if id in named]
        for documents in (list(self._documents.values()), holding):
            text = self._whole(question.question, documents)
            if text is not None:
                return self._log_probabilities(text, ids)[:FIRST_TOKENS]
        return None

    def _whole(self, question: str, documents: Sequence[Document]) -> str | None:
        """The prompt with whole documents; None where there are none or they do not fit."""
        characters = sum(len(document.text) for document in documents)
        if not documents or characters > 8 * self._generator.context_window:
            return None
        spans = [self._span(document, 0, len(document.text)) for document in documents]
        prompt = build_prompt(self._generator, question, spans, self._config)
        return prompt.text if len(prompt.spans) == len(spans) else None

    def _spans(self, hits: Sequence[Hit]) -> list[Span]:
        """Hits in reading order, those that overlap or touch joined."""
        ranges = merge(hits)
        return [
            self._span(document, start, end)
            for id, document in self._documents.items()
            for start, end in ranges.get(id, ())
        ]

    def _span(self, document: Document, start: int, end: int) -> Span:
        return Span(document.id, start, end, document.text[start:end], 0.0, {}, 0)

    def _answer_ids(self, question: LabelledQuestion) -> list[int]:
        space = "" if self._generator.has_chat_template else " "
        ids = self._backbone.text.encode(space + question.answers[0].strip()).ids.tolist()
        if not ids:
            raise InputError(f"question {question.id!r}: its first answer is empty")
        most = self._config.max_new_tokens
        kept: list[int] = ids[:most]
        return kept

    def _log_probabilities(self, prompt: str, answer: Sequence[int]) -> Tensor:
        return log_probabilities(self._backbone, self._generator.encode(prompt), answer)


def log_probabilities(backbone: Backbone, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
    """What a model expects where each token of a given answer is to come.

    Args:
        backbone: The model.
        prompt: Token ids.
        answer: Token ids of t tokens that follow.

    Returns:
        Log-probabilities ``f32[t, V]`` on the CPU.
    """
    ids, model = [*prompt, *answer], backbone.model
    with backbone.lock, evaluating(model), torch.inference_mode():
        rows = torch.tensor([ids], device=backbone.device)
        logits = model(rows, logits_to_keep=len(answer) + 1, use_cache=False).logits[0]
    return torch.log_softmax(logits[-len(answer) - 1 : -1].float(), 1).cpu()


def divergence(full: Tensor, other: Tensor) -> float:
    """Mean over tokens of ``KL(full ‖ other)`` in nats, from log-probabilities ``f32[t, V]``."""
    return float((full.exp() * (full - other)).sum(1).mean().clamp_min(0))


def read_answers(
    found: Evaluation, backbone: Backbone, answers: bool | AnswerConfig, progress: bool
) -> Evaluation:
    """Add the measures of answers to the rows of an evaluation.

    Questions without gold answers are left out.
    """
    config = SHORT if isinstance(answers, bool) else answers
    budget = int(found.metric.rpartition("@")[2])
    fresh: dict[int, Run] = {}
    for place, labelled in enumerate(found.sets):
        reader = Reader(backbone, labelled.documents, config, budget)
        runs = [row.runs[place] for row in found.rows]
        read = _read_set(labelled, runs, reader, progress)
        fresh.update({id(old): new for old, new in zip(runs, read, strict=True)})
    return found.exchange(fresh)


def _read_set(
    labelled: LabelledSet, runs: Sequence[Run], reader: Reader, progress: bool
) -> list[Run]:
    """The runs on one set, with answers and their measures."""
    count = len(labelled.questions)
    values = [{metric: np.full(count, np.nan) for metric in READER_METRICS} for _ in runs]
    texts = [[""] * count for _ in runs]
    bar = tqdm(labelled.questions, desc=f"Answering {labelled.name}", disable=not progress)
    for number, question in enumerate(bar):
        if not question.answers:
            continue
        full = reader.full_context(question)
        for place, run in enumerate(runs):
            text, measured = reader.measure(question, run.hits[number], full)
            texts[place][number] = text
            for metric, value in measured.items():
                values[place][metric][number] = value
    return [
        replace(run, values={**run.values, **new}, answers=tuple(said))
        for run, new, said in zip(runs, values, texts, strict=True)
    ]
