"""The retriever's own model as a LangChain chat model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from langchain_s3_retriever._conversion import to_chat
from langchain_s3_retriever._tools import BEGIN, END, Tools
from s3_retriever.adapters import background
from s3_retriever.adapters.arguments import reject_unknown
from s3_retriever.answering.generator import TextGenerator  # noqa: TC001  # read by pydantic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForLLMRun,
        CallbackManagerForLLMRun,
    )
    from langchain_core.language_models.base import LangSmithParams, LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool


class EndogenousChat(BaseChatModel):
    """Chat with the weights that read the documents; made by `EndogenousRetriever.as_llm`.

    Messages go through the model's chat template. `max_new_tokens`, `temperature` and `stop` may
    also be given when it is called.

    Attributes:
        generator: Generates with the retriever's own model.
        max_new_tokens: Most tokens generated.
        temperature: 0 for greedy decoding.
        stop: Strings that end the answer, unless others are given when it is called.
        disable_streaming: An answer that may hold a tool call comes in one piece.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    generator: TextGenerator = Field(exclude=True, repr=False)
    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    stop: list[str] | None = None
    disable_streaming: bool | Literal["tool_calling"] = "tool_calling"

    def __init__(self, **values: Any) -> None:
        reject_unknown(values, type(self).model_fields, type(self).__name__)
        super().__init__(**values)

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return self.generator.model_name

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools, one in a turn.

        The tools are described in the system message, and a call is read from JSON that the model
        writes. What is no valid call comes back as words. How well this works is up to the model:
        a small one seldom calls of its own accord, and `tool_choice` makes it.

        Args:
            tools: Whatever LangChain takes for a tool.
            tool_choice: The name of the tool that must be called; ``"any"`` for the only one;
                None or ``"auto"`` to leave it to the model; ``"none"`` for no call.
            **kwargs: Further arguments of the call, such as `max_new_tokens`.

        Raises:
            InputError: `tool_choice` names no tool, or ``"any"`` where there are several.
        """
        bound = Tools.bound(tools, tool_choice)
        return self.bind(tools=list(bound.schemas), tool_choice=bound.chosen, **kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the model's own tokens of a text, as it reads them inside a message."""
        return self.generator.text_ids(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Count the tokens of the prompt that these messages become; `tools` are not read."""
        return self.generator.count(self.generator.chat_prompt(to_chat(messages)))

    @property
    def _llm_type(self) -> str:
        return "s3-retriever"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._settings(None, {})}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        settings = self._settings(stop, {name: kwargs[name] for name in kwargs if name in _CALL})
        params = super()._get_ls_params(stop=settings["stop"], **kwargs)
        params["ls_provider"] = "s3-retriever"
        params["ls_max_tokens"] = settings["max_new_tokens"]
        params["ls_temperature"] = settings["temperature"]
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        tools = _tools(kwargs)
        stops = [*(self.stop or [] if stop is None else stop), *([END] if tools.schemas else [])]
        prompt = self.generator.chat_prompt(to_chat(tools.tell(messages))) + self._opening(tools)
        text = self.generator.generate(prompt, **self._settings(stops, kwargs))
        message = tools.read(text)
        message.response_metadata = {"model_name": self.model_name}
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await background.run(self._generate, messages, stop, None, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in self._pieces(messages, stop, kwargs):
            chunk = self._chunk(piece)
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for piece in background.iterate(partial(self._pieces, messages, stop, kwargs)):
            chunk = self._chunk(piece)
            if run_manager:
                await run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk

    def _pieces(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Iterator[str]:
        prompt = self.generator.chat_prompt(to_chat(_tools(kwargs).tell(messages)))
        return self.generator.stream(prompt, **self._settings(stop, kwargs))

    def _opening(self, tools: Tools) -> str:
        """The forced call as the model would write it: its mark a token, the rest text."""
        mark, begin, call = tools.opening.partition(BEGIN)
        return mark + begin + self.generator.plain(call)

    def _chunk(self, piece: str) -> ChatGenerationChunk:
        return ChatGenerationChunk(message=AIMessageChunk(content=piece))

    def _settings(self, stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        reject_unknown(kwargs, (*_CALL, *_TOOLS), type(self).__name__)
        kwargs = {name: value for name, value in kwargs.items() if name in _CALL}
        own = {"max_new_tokens": self.max_new_tokens, "temperature": self.temperature}
        return {**own, **kwargs, "stop": (self.stop if stop is None else stop) or []}


_CALL = ("max_new_tokens", "temperature")
_TOOLS = ("tools", "tool_choice")


def _tools(kwargs: dict[str, Any]) -> Tools:
    return Tools.bound(kwargs.get("tools") or (), kwargs.get("tool_choice"))
