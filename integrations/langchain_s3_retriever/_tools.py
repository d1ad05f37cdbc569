"""Tools for any chat model: told in words, called in JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.messages.tool import ToolCall
    from langchain_core.tools import BaseTool

BEGIN, END = "<tool_call>", "</tool_call>"
_INSTRUCTION = f"""You can call these functions:
%s

To call one, write nothing but {BEGIN}{{"name": ..., "arguments": {{...}}}}{END}, with the \
user's own words in the arguments. The result comes next. Otherwise answer in words."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one call to the model.

    Attributes:
        schemas: In OpenAI's format.
        chosen: Name of the one that must be called, if any.
    """

    schemas: tuple[dict[str, Any], ...]
    chosen: str | None = None

    @classmethod
    def bound(
        cls,
        tools: Iterable[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        choice: str | bool | dict[str, Any] | None = None,
    ) -> Tools:
        """Describe tools, and check the choice among them.

        Args:
            tools: Whatever LangChain takes for a tool.
            choice: None or ``"auto"`` to leave it to the model, the name of a tool (in OpenAI's
                format as well) for that one, ``"any"``, ``"required"`` or True for the only one.

        Raises:
            InputError: a choice that is no tool, or of any where there are several.
        """
        made = cls(tuple(convert_to_openai_tool(tool) for tool in tools))
        if isinstance(choice, dict):
            choice = str(choice.get("function", choice).get("name"))
        if choice in (None, False, "auto", "none"):
            return replace(made, schemas=()) if choice == "none" else made
        if choice in (True, "any", "required") and len(made.names) == 1:
            return replace(made, chosen=made.names[0])
        if choice in made.names:
            return replace(made, chosen=str(choice))
        raise InputError(
            f"tool_choice={choice!r} is invalid: name one of {', '.join(made.names) or 'no tools'}"
        )

    @property
    def names(self) -> list[str]:
        """Names of the tools."""
        return [schema["function"]["name"] for schema in self.schemas]

    @property
    def opening(self) -> str:
        """Beginning of the answer that is put into the model's mouth: the call that must be."""
        if self.chosen is None:
            return ""
        name, quote = self._first_argument
        opening = f'{BEGIN}{{"name": {json.dumps(self.chosen)}, "arguments": {{'
        return f"{opening}{json.dumps(name)}: {quote}" if name else opening

    @property
    def _first_argument(self) -> tuple[str, str]:
        """Name of the first argument of the chosen tool (empty for none), and what begins it."""
        (schema,) = (s["function"] for s in self.schemas if s["function"]["name"] == self.chosen)
        for name, argument in schema.get("parameters", {}).get("properties", {}).items():
            return name, '"' if argument.get("type") == "string" else ""
        return "", ""

    def tell(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Describe the tools in the system message, and write calls and results out in words."""
        if not self.schemas:
            return list(messages)
        turns = [_in_words(message) for message in messages]
        functions = "\n".join(_signature(schema["function"]) for schema in self.schemas)
        system = turns.pop(0).text if turns and isinstance(turns[0], SystemMessage) else ""
        return [SystemMessage(f"{system}\n\n{_INSTRUCTION % functions}".strip()), *turns]

    def read(self, answer: str) -> AIMessage:
        """Part an answer into words and a call; what is no valid call of a tool stays words.

        Of a call that must be, the first argument is enough, whatever follows it.
        """
        text = self.opening + answer
        place = text.find("{") if self.schemas else -1
        while place >= 0:
            call = _call(text, place)
            if call and call["name"] in self.names:
                words = text[:place].replace(BEGIN, "").rstrip()
                return AIMessage(words, tool_calls=[call])
            place = text.find("{", place + 1)
        call = self._begun(answer) if self.chosen else None
        return AIMessage("", tool_calls=[call]) if call else AIMessage(text)

    def _begun(self, answer: str) -> ToolCall | None:
        """The call that must be, by its first argument alone, if the answer ends its value."""
        name, quote = self._first_argument
        try:
            value, _ = json.JSONDecoder(strict=False).raw_decode(quote + answer)
        except ValueError:
            return None
        return _call_of(self.chosen, {name: value}) if name else None


def _call(text: str, place: int) -> ToolCall | None:
    try:
        value, _ = json.JSONDecoder().raw_decode(text, place)
    except ValueError:
        return None
    return _call_of(value.get("name"), value.get("arguments"))


def _call_of(name: object, arguments: object) -> ToolCall | None:
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return {"type": "tool_call", "id": str(uuid4()), "name": name, "args": arguments}


def _signature(function: dict[str, Any]) -> str:
    properties = function.get("parameters", {}).get("properties", {})
    arguments = ", ".join(f"{name}: {_kind(schema)}" for name, schema in properties.items())
    notes = [
        f"  {name}: {s['description']}" for name, s in properties.items() if "description" in s
    ]
    return "\n".join([f"- {function['name']}({arguments}): {function['description']}", *notes])


def _kind(schema: dict[str, Any]) -> str:
    return str(schema.get("type") or json.dumps(schema))


def _in_words(message: BaseMessage) -> BaseMessage:
    if isinstance(message, ToolMessage):
        return HumanMessage(f"<tool_response>\n{message.text}\n</tool_response>")
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [{"name": c["name"], "arguments": c["args"]} for c in message.tool_calls]
        written = "\n".join(f"{BEGIN}{json.dumps(call)}{END}" for call in calls)
        return AIMessage(f"{message.text}\n{written}".strip())
    return message
