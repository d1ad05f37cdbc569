"""Wall clock to an answer: scan, search and answer against full prefill with KV cache and answer.

    python benchmarks/end_to_end.py

The same model, the same text and question, and exactly `--answer` tokens on both sides, made by the
same function; only the prompts differ. `scan` includes tokenising, making the codes and, at the
first search, BM25; the full prefill includes tokenising. The second question comes on the same
text: to `scan` with the index at hand, to `kv` with the cache of the text kept, and to `prefill`
without.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from common import CUDA, arguments, default_model, line, load, seconds, spread, text_of
from common import write as write_results

from s3_retriever import EndogenousIndex
from s3_retriever.answering.generator import TextGenerator
from s3_retriever.answering.prompt import build_prompt
from s3_retriever.config import AnswerConfig
from s3_retriever.documents import Document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from s3_retriever.backbone import Backbone
    from s3_retriever.codec import Bank

QUESTIONS = (
    "What does the finally clause of a try statement do?",
    "How are default parameter values of a function evaluated?",
)
_ROOM = 128
"""Tokens of the window left for the question and what is around it."""


def generate(backbone: Backbone, ids: Sequence[int], tokens: int, cache: Any = None) -> Any:
    """Continue by exactly that many tokens, greedily; returns the KV cache."""
    sequence = torch.tensor([list(ids)], device=backbone.device)
    with torch.inference_mode():
        return backbone.model.generate(
            input_ids=sequence,
            attention_mask=torch.ones_like(sequence),
            past_key_values=cache,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
            return_dict_in_generate=True,
        ).past_key_values


class Prefill:
    """The model reads everything and keeps keys and values of all layers."""

    def __init__(self, backbone: Backbone, text: str, answer: int) -> None:
        self._backbone, self._text, self._answer = backbone, text, answer
        self._cache: Any = None

    def ask(self, question: str) -> None:
        """Read the text and the question, and answer."""
        ids, _ = self._ids(question)
        self._cache = generate(self._backbone, ids, self._answer)

    def ask_again(self, question: str) -> None:
        """Answer with the cache of the text that the last answer left."""
        ids, text = self._ids(question)
        self._cache.crop(text - self._cache.get_seq_length())
        self._cache = generate(self._backbone, ids, self._answer, self._cache)

    def forget(self) -> None:
        """Let go of the cache."""
        self._cache = None

    def _ids(self, question: str) -> tuple[list[int], int]:
        encode = self._backbone.text.encode
        text = encode(self._text).ids.tolist()
        return text + encode(f"\n\nQuestion: {question}\nAnswer:").ids.tolist(), len(text)


class Scan:
    """The model reads everything chunk by chunk and answers from the spans it finds."""

    def __init__(self, backbone: Backbone, bank: Bank, text: str, answer: int) -> None:
        self._backbone, self._bank = backbone, bank
        self._document = Document(id="text", text=text)
        self._config = AnswerConfig(max_new_tokens=answer)
        self._index: Any = None

    def ask(self, question: str) -> None:
        """Scan, search and answer."""
        self.scan()
        self.ask_again(question)

    def scan(self) -> None:
        """Read the text."""
        self._index = EndogenousIndex.build(
            [self._document], model=self._backbone, bank=self._bank, progress=False
        )

    def search(self, question: str) -> Any:
        """The spans that go into the prompt."""
        config = self._config
        return self._index.search(
            question, k=config.k, token_budget=config.token_budget, order="document"
        ).spans

    def ask_again(self, question: str) -> None:
        """Search and answer with the index at hand."""
        generator = TextGenerator(self._backbone)
        prompt = build_prompt(generator, question, self.search(question), self._config)
        generate(self._backbone, generator.encode(prompt.text), self._config.max_new_tokens)


def measure(
    backbone: Backbone, bank: Bank, tokens: int, answer: int, rounds: int
) -> dict[str, Any]:
    """All ways at one length, interleaved; and the parts of the scan's way."""
    text = text_of(backbone, tokens - _ROOM - answer)
    first, second = QUESTIONS
    full, ours = Prefill(backbone, text, answer), Scan(backbone, bank, text, answer)
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        took = {
            "prefill": seconds(lambda: full.ask(first)),
            "kv, second question": seconds(lambda: full.ask_again(second)),
        }
        full.forget()
        took["scan"] = seconds(lambda: ours.ask(first))
        took["scan, second question"] = seconds(lambda: ours.ask_again(second))
        took["search alone"] = seconds(lambda: ours.search(second))
        if turn:  # the first round warms up
            for name, value in took.items():
                times[name].append(value)

    def ratio(name: str, to: str) -> float:
        pairs = zip(times[name], times[to], strict=True)
        return round(statistics.median([ours / theirs for ours, theirs in pairs]), 4)

    return {
        "tokens": tokens,
        "answer_tokens": answer,
        "seconds": {name: spread(values) for name, values in times.items()},
        "scan_to_prefill": ratio("scan", "prefill"),
        "second_question_to_prefill": ratio("scan, second question", "prefill"),
        "second_question_to_kv": ratio("scan, second question", "kv, second question"),
        "search_to_prefill": ratio("search alone", "prefill"),
    }


def show(found: dict[str, Any]) -> None:
    """Print one length."""
    print(f"\n{found['tokens']:,} tokens, answer of {found['answer_tokens']}; min / median / max")
    for name, values in found["seconds"].items():
        print("  " + line(name, values))
    print(
        f"  scan to prefill {found['scan_to_prefill']:.3f}; second question to prefill "
        f"{found['second_question_to_prefill']:.3f} (search alone "
        f"{found['search_to_prefill']:.4f}), to kept KV {found['second_question_to_kv']:.2f}"
    )


def main(args: argparse.Namespace) -> None:
    """Measure every length that the model's window holds."""
    torch.manual_seed(args.seed)
    backbone, bank = load(default_model(args.model), args.dtype, args.seed)
    lengths = [tokens for tokens in args.lengths if tokens <= backbone.spec.max_positions]
    found = []
    for tokens in lengths:
        found.append(measure(backbone, bank, tokens, args.answer, args.rounds))
        show(found[-1])
    write_results("end_to_end", args, {"figures": found}, backbone, bank)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    lengths = [8192, 32_768, 131_072] if CUDA else [2048, 4096, 8192]
    parser.add_argument("--lengths", type=int, nargs="+", default=lengths)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    main(parser.parse_args())
