"""The retriever's own model as a LlamaIndex LLM."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from pydantic import ConfigDict, Field

from llama_index.retrievers.s3._conversion import to_chat
from s3_retriever.adapters import background
from s3_retriever.adapters.arguments import reject_unknown
from s3_retriever.answering.generator import TextGenerator  # noqa: TC001  # read by pydantic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.llms.types import (
        ChatMessage,
        ChatResponse,
        ChatResponseAsyncGen,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
    )


class EndogenousLLM(CustomLLM):
    """Complete and chat with the weights that read the documents; made by `as_llm`.

    Messages go through the model's chat template, and so does the prompt of a completion, as one
    user message, unless it is said to be formatted. What they say stays text, also where it spells
    the model's control tokens. `max_new_tokens`, `temperature` and `stop` may also be given when
    it is called.

    Attributes:
        generator: Generates with the retriever's own model.
        max_new_tokens: Most tokens generated.
        temperature: 0 for greedy decoding.
        stop: Strings that end the text.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    generator: TextGenerator = Field(exclude=True, repr=False)
    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    stop: list[str] = Field(default_factory=list)

    def __init__(self, generator: TextGenerator, **values: Any) -> None:
        reject_unknown(values, type(self).model_fields, type(self).__name__)
        values.setdefault("messages_to_prompt", partial(_messages_to_prompt, generator))
        values.setdefault("completion_to_prompt", partial(_completion_to_prompt, generator))
        super().__init__(generator=generator, **values)

    def __getstate__(self) -> dict[str, Any]:
        """Refuse what LlamaIndex would leave out without a word: a model made in memory.

        Raises:
            InputError: the model was not loaded by name.
        """
        self.generator.backbone.__reduce__()
        return super().__getstate__()

    @classmethod
    def class_name(cls) -> str:
        """Return the name LlamaIndex shows."""
        return "EndogenousLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The model's window, name and kind."""
        return LLMMetadata(
            context_window=self.generator.context_window,
            num_output=self.max_new_tokens,
            is_chat_model=self.generator.has_chat_template,
            model_name=self.generator.model_name,
        )

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Continue a prompt; see the class for what it accepts."""
        prompt = self._formatted(prompt, formatted)
        text = self.generator.generate(prompt, **self._settings(kwargs))
        return CompletionResponse(text=text)

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Continue a prompt, piece by piece."""
        prompt = self._formatted(prompt, formatted)
        pieces = self.generator.stream(prompt, **self._settings(kwargs))

        def responses() -> CompletionResponseGen:
            text = ""
            for piece in pieces:
                text += piece
                yield CompletionResponse(text=text, delta=piece)
            if not text:  # the callback looks at the last response
                yield CompletionResponse(text="", delta="")

        return responses()

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Continue a prompt, off the event loop."""
        return await background.run(self.complete, prompt, formatted=formatted, **kwargs)

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Continue a prompt, piece by piece, off the event loop."""
        start = partial(self.stream_complete, prompt, formatted=formatted, **kwargs)
        return background.iterate(start)  # type: ignore[return-value]

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer, off the event loop."""
        return await background.run(self.chat, messages, **kwargs)

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer, piece by piece, off the event loop."""
        start = partial(self.stream_chat, messages, **kwargs)
        return background.iterate(start)  # type: ignore[return-value]

    def _formatted(self, prompt: str, formatted: bool) -> str:
        if formatted or self.completion_to_prompt is None:
            return prompt
        return self.completion_to_prompt(prompt)

    def _settings(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("max_new_tokens", "temperature", "stop")}
        reject_unknown(kwargs, own, type(self).__name__)
        return own | kwargs


def _messages_to_prompt(generator: TextGenerator, messages: Sequence[ChatMessage]) -> str:
    return generator.chat_prompt(to_chat(messages))


def _completion_to_prompt(generator: TextGenerator, prompt: str) -> str:
    if not generator.has_chat_template:
        return generator.plain(prompt)
    return generator.chat_prompt([{"role": "user", "content": prompt}])
