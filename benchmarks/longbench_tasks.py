"""LongBench's protocol: prompts, lengths of answers and metrics by task, and how a prompt is cut.

Prompts, lengths and which task has which metric are those of the benchmark itself, as published in
its repository (https://github.com/THUDM/LongBench, `config/dataset2prompt.json`,
`config/dataset2maxlen.json`, `pred.py` and `eval.py`; Bai et al. 2024, arXiv 2308.14508; MIT), for
its English tasks without those of code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_retriever.answering.generator import TextGenerator
    from s3_retriever.backbone import Backbone

Metric = Literal["f1", "rouge", "classification", "retrieval", "count"]

_FROM_PASSAGES = (
    "Answer the question based on the given passages. Only give me the answer and do not output any"
    " other words."
)
_HOPS = (
    f"{_FROM_PASSAGES}\n\nThe following are given passages.\n{{context}}\n\n{_FROM_PASSAGES}\n\n"
    "Question: {input}\nAnswer:"
)
_OF_STORY = (
    "as concisely as you can, using a single phrase if possible. Do not provide any explanation."
)
_OF_ARTICLE = (
    "as concisely as you can, using a single phrase or sentence if possible. If the question cannot"
    ' be answered based on the information in the article, write "unanswerable". If the question is'
    ' a yes/no question, answer "yes", "no", or "unanswerable". Do not provide any explanation.'
)


@dataclass(frozen=True, slots=True)
class Task:
    """What LongBench asks of the items of one task.

    Attributes:
        name: In LongBench.
        prompt: With places for ``{context}`` and ``{input}``.
        max_new_tokens: Most tokens of an answer.
        metric: How an answer is measured.
        examples: The context shows worked examples: the prompt is continued without a chat
            template, and the answer is its first line.
        line: An answer is asked for that ends with its line, whose first token is no line break.
        hops: A question whose answer takes several passages.
    """

    name: str
    prompt: str
    max_new_tokens: int
    metric: Metric
    examples: bool = False
    line: bool = False
    hops: bool = False

    def written(self, context: str, asked: str) -> str:
        """The prompt of one item."""
        return self.prompt.format(context=context, input=asked)

    def behind(self, asked: str) -> str:
        """What stands behind the context in the prompt of one item."""
        return self.prompt.partition("{context}")[2].format(input=asked)

    @property
    def instruction(self) -> str:
        """What the prompt says behind the context: the question of a task without one."""
        return self.behind("").strip().partition("\n")[0]


TASKS = {
    task.name: task
    for task in (
        Task(
            "narrativeqa",
            "You are given a story, which can be either a novel or a movie script, and a question."
            f" Answer the question {_OF_STORY}\n\nStory: {{context}}\n\nNow, answer the question "
            f"based on the story {_OF_STORY}\n\nQuestion: {{input}}\n\nAnswer:",
            128,
            "f1",
        ),
        Task(
            "qasper",
            "You are given a scientific article and a question. Answer the question "
            f"{_OF_ARTICLE}\n\nArticle: {{context}}\n\n Answer the question based on the above "
            f"article {_OF_ARTICLE}\n\nQuestion: {{input}}\n\nAnswer:",
            128,
            "f1",
        ),
        Task(
            "multifieldqa_en",
            "Read the following text and answer briefly.\n\n{context}\n\nNow, answer the following "
            "question based on the above text, only give me the answer and do not output any other "
            "words.\n\nQuestion: {input}\nAnswer:",
            64,
            "f1",
        ),
        Task("hotpotqa", _HOPS, 32, "f1", hops=True),
        Task("2wikimqa", _HOPS, 32, "f1", hops=True),
        Task("musique", _HOPS, 32, "f1", hops=True),
        Task(
            "gov_report",
            "You are given a report by a government agency. Write a one-page summary of the "
            "report.\n\nReport:\n{context}\n\nNow, write a one-page summary of the report.\n\n"
            "Summary:",
            512,
            "rouge",
        ),
        Task(
            "qmsum",
            "You are given a meeting transcript and a query containing a question or instruction. "
            "Answer the query in one or more sentences.\n\nTranscript:\n{context}\n\nNow, answer "
            "the query based on the above meeting transcript in one or more sentences.\n\n"
            "Query: {input}\nAnswer:",
            512,
            "rouge",
        ),
        Task(
            "multi_news",
            "You are given several news passages. Write a one-page summary of all news. \n\nNews:\n"
            "{context}\n\nNow, write a one-page summary of all the news.\n\nSummary:",
            512,
            "rouge",
        ),
        Task(
            "trec",
            "Please determine the type of the question below. Here are some examples of questions."
            "\n\n{context}\n{input}",
            64,
            "classification",
            examples=True,
        ),
        Task(
            "triviaqa",
            "Answer the question based on the given passage. Only give me the answer and do not "
            "output any other words. The following are some examples.\n\n{context}\n\n{input}",
            32,
            "f1",
            examples=True,
        ),
        Task(
            "samsum",
            "Summarize the dialogue into a few short sentences. The following are some examples."
            "\n\n{context}\n\n{input}",
            128,
            "rouge",
            examples=True,
            line=True,
        ),
        Task(
            "passage_count",
            "There are some paragraphs below sourced from Wikipedia. Some of them may be "
            "duplicates. Please carefully read these paragraphs and determine how many unique "
            "paragraphs there are after removing duplicates. In other words, how many non-repeating"
            " paragraphs are there in total?\n\n{context}\n\nPlease enter the final count of unique"
            " paragraphs after removing duplicates. The output format should only contain the "
            "number, such as 1, 2, 3, and so on.\n\nThe final answer is: ",
            32,
            "count",
        ),
        Task(
            "passage_retrieval_en",
            "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine which "
            "paragraph the abstract is from.\n\n{context}\n\nThe following is an abstract.\n\n"
            "{input}\n\nPlease enter the number of the paragraph that the abstract is from. The "
            'answer format must be like "Paragraph 1", "Paragraph 2", etc.\n\nThe answer is: ',
            32,
            "retrieval",
        ),
    )
}
"""The tasks by name."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of LongBench's files.

    Attributes:
        task: Which it belongs to.
        id: Its own.
        asked: The question; empty where the task asks the same of every item.
        context: The long text.
        answers: Each of them right.
        classes: Of a task of classification; else empty.
    """

    task: Task
    id: str
    asked: str
    context: str
    answers: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """What is searched for in the context."""
        return self.asked.strip() or self.task.instruction


def items_of(task: Task, folder: Path) -> Iterator[Item]:
    """Read a task's items from ``TASK.jsonl`` in LongBench's own form."""
    with (folder / f"{task.name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            classes = tuple(row.get("all_classes") or ())
            yield Item(
                task, row["_id"], row["input"], row["context"], tuple(row["answers"]), classes
            )


def cut_middle(backbone: Backbone, text: str, most: int) -> str:
    """The first and the last tokens of a text, half of `most` each; a shorter one whole."""
    tokens = backbone.text.encode(text)
    half = most // 2
    if len(tokens) <= most:
        return text
    return text[: tokens.ends[half - 1]] + text[tokens.starts[len(tokens) - half] :]


def framed(generator: TextGenerator, task: Task, written: str) -> str:
    """A prompt as the model is given it: a user's turn, or text that is continued."""
    if task.examples:
        return generator.plain(written)
    return generator.chat_prompt([{"role": "user", "content": written}])


def fitted(generator: TextGenerator, task: Task, written: str, window: int) -> tuple[str, str]:
    """A prompt that leaves room for the answer, cut in the middle where it is too long.

    Args:
        generator: Of the model.
        task: Says how long the answer may be, and how the prompt is framed.
        written: The prompt before it is framed.
        window: Tokens of prompt and answer together.

    Returns:
        The framed prompt, and what of the written one is in it.
    """
    room = window - task.max_new_tokens
    prompt = framed(generator, task, written)
    over = generator.count(prompt) - room
    if over <= 0:
        return prompt, written
    most = generator.backbone.text.count(written)
    while over > 0:  # a cut may make a token more than it leaves
        most -= over
        if most < 2:
            raise SystemExit(f"a window of {window} tokens holds no prompt of {task.name}")
        left = cut_middle(generator.backbone, written, most)
        prompt = framed(generator, task, left)
        over = generator.count(prompt) - room
    return prompt, left
