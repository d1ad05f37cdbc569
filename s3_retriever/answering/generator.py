"""Text from the same weights that read the documents."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

import torch
from jinja2.exceptions import TemplateError
from transformers import GenerationConfig, StoppingCriteriaList

from s3_retriever.answering.decoding import StopStrings
from s3_retriever.answering.prompt_text import ControlTokens, read
from s3_retriever.backbone.modes import evaluating, quiet_generation
from s3_retriever.errors import InputError
from s3_retriever.fork import computes_here

if TYPE_CHECKING:
    from s3_retriever.backbone import Backbone

Message = Mapping[str, str]
"""One turn of a conversation: ``{"role": "system" | "user" | "assistant" | …, "content": str}``."""


class TextGenerator:
    """Generates with a backbone's own model: no second copy of the weights.

    Args:
        backbone: The model and tokenizer; its lock is held while tokens are made, so scans and
            generations from different threads take turns.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def generate(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 128,
        stop: str | Sequence[str] = (),
        temperature: float = 0.0,
    ) -> str:
        """Continue a prompt.

        Args:
            prompt: A conversation written by `chat_prompt`, or any text; control tokens that the
                text spells are control tokens, unless `plain` has marked it.
            max_new_tokens: Most tokens generated.
            stop: Strings that end the text; they are cut from it.
            temperature: 0 for greedy decoding, above 0 for sampling.

        Returns:
            The new text alone, without the prompt and without special tokens.

        Raises:
            InputError: an empty prompt, one too long for the model's window, or an invalid
                setting.
        """
        request = self._request(prompt, max_new_tokens, stop, temperature)
        reader = StopStrings(self._decode, len(request.ids), request.stops)
        self._run(request, reader)
        return reader.text

    def stream(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 128,
        stop: str | Sequence[str] = (),
        temperature: float = 0.0,
        cancelled: threading.Event | None = None,
    ) -> Iterator[str]:
        """Continue a prompt, piece by piece.

        Arguments and errors are those of `generate`, and the pieces joined are its result. A
        thread of its own generates while holding the backbone's lock (do not hold it while
        iterating); it ends after the token at work when the iterator is closed or dropped, or
        when `cancelled` is set, which any thread may do. An exception raised there is raised here.
        """
        request = self._request(prompt, max_new_tokens, stop, temperature)
        return self._stream(request, cancelled)

    def chat_prompt(self, messages: Sequence[Message]) -> str:
        """Write a conversation as a prompt that asks for the assistant's next turn.

        Uses the model's chat template. Where a template has no place for a system message, it goes
        in front of the first user message; a model without a template gets plain labelled turns.

        What the messages say stays text, also where it spells the model's control tokens: only
        the template opens and closes turns.

        Args:
            messages: Turns in order, each with ``"role"`` and ``"content"``.

        Returns:
            The prompt for `generate`, `stream`, `encode` or `count`. Where a message spells a
            control token, characters that no text has (U+FDD0 and its neighbours) mark it; the
            model does not read them.

        Raises:
            InputError: no messages, or the template refuses them.
        """
        if not messages:
            raise InputError("a conversation needs at least one message")
        plain = ControlTokens(self.backbone.tokenizer).plain
        turns = [{key: plain(turn[key]) for key in ("role", "content")} for turn in messages]
        return self._render(turns) if self.has_chat_template else _plain_chat(turns)

    def plain(self, text: str) -> str:
        """Mark a text for use inside a prompt: what it spells of control tokens stays text.

        `chat_prompt` does this for every message. A text without control tokens comes back as it
        is.
        """
        return ControlTokens(self.backbone.tokenizer).plain(text)

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a text as the model reads it inside a message: no special tokens."""
        return read(self.backbone.tokenizer, self.plain(text), framed=False)

    def count(self, prompt: str) -> int:
        """Count the tokens of a prompt as the model reads it, special tokens included."""
        return len(self.encode(prompt))

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt as the model reads it, special tokens included."""
        tokenizer = self.backbone.tokenizer
        written = ControlTokens(tokenizer).begin(prompt)
        return read(tokenizer, prompt, framed=not written)

    @property
    def context_window(self) -> int:
        """Most tokens, prompt and answer together, that the model can read."""
        return self.backbone.spec.max_positions

    @property
    def has_chat_template(self) -> bool:
        """Whether the model was trained to converse, as far as its tokenizer knows."""
        return bool(self.backbone.tokenizer.chat_template)

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return self.backbone.name

    def _render(self, turns: Sequence[Message]) -> str:
        try:
            rendered = self.backbone.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            if turns[0]["role"] == "system" and len(turns) > 1:
                return self._render(_without_system(turns))
            raise InputError(
                f"the model's chat template refuses these messages: {error}"
            ) from error
        return str(rendered)

    def _decode(self, ids: list[int]) -> str:
        text = self.backbone.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _request(
        self, prompt: str, max_new_tokens: int, stop: str | Sequence[str], temperature: float
    ) -> _Request:
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        if not all(isinstance(text, str) and text for text in stops):
            raise InputError(f"stop must hold non-empty strings, not {stop!r}")
        if max_new_tokens < 1:
            raise InputError(f"max_new_tokens={max_new_tokens} is invalid: at least 1")
        if temperature < 0:
            raise InputError(f"temperature={temperature} is invalid: 0 (greedy) or more")
        ids = self.encode(prompt)
        if not ids:
            raise InputError("the prompt is empty; give the model something to continue")
        if len(ids) + max_new_tokens > self.context_window:
            raise InputError(
                f"the prompt has {len(ids)} tokens, which with max_new_tokens={max_new_tokens} "
                f"is more than the model's window of {self.context_window}; shorten the prompt "
                "(for retrieved text, lower k or token_budget) or max_new_tokens"
            )
        return _Request(ids, stops, self._settings(max_new_tokens, stops, temperature))

    def _settings(
        self, max_new_tokens: int, stops: tuple[str, ...], temperature: float
    ) -> GenerationConfig:
        tokenizer = self.backbone.tokenizer
        own = self.backbone.model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
        ends = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        special = tokenizer.get_added_vocab()
        ends |= {special[text] for text in stops if text in special}
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
        sampling = {"temperature": temperature} if temperature else {}
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            use_cache=True,
            do_sample=temperature > 0,
            num_beams=1,
            num_return_sequences=1,
            return_dict_in_generate=False,
            eos_token_id=sorted(ends) or None,
            pad_token_id=pad,
            **sampling,
        )

    def _run(self, request: _Request, reader: StopStrings) -> None:
        computes_here()
        with self.backbone.lock:
            if reader.is_cancelled:
                return
            ids = torch.tensor([request.ids], device=self.backbone.device)
            with evaluating(self.backbone.model), quiet_generation():
                self.backbone.model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=request.settings,
                    stopping_criteria=StoppingCriteriaList([reader]),
                )
        reader.flush()

    def _stream(self, request: _Request, cancelled: threading.Event | None) -> Iterator[str]:
        pieces: SimpleQueue[str | BaseException | None] = SimpleQueue()
        reader = StopStrings(self._decode, len(request.ids), request.stops, pieces.put, cancelled)

        def work() -> None:
            try:
                self._run(request, reader)
            except BaseException as error:
                pieces.put(error)
            else:
                pieces.put(None)

        threading.Thread(target=work, name="s3-retriever-generate").start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            reader.cancelled.set()


@dataclass(frozen=True, slots=True)
class _Request:
    ids: list[int]
    stops: tuple[str, ...]
    settings: GenerationConfig


def _plain_chat(turns: Sequence[Message]) -> str:
    written = [
        turn["content"]
        if turn["role"] == "system"
        else f"{turn['role'].capitalize()}: {turn['content']}"
        for turn in turns
    ]
    return "\n\n".join([*written, "Assistant:"])


def _without_system(turns: Sequence[Message]) -> list[Message]:
    system, first, *rest = turns
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
