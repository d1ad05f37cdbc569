"""What a chat client asks and is answered, in the shape of OpenAI's interface."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from s3_retriever.errors import InputError

Limit = Annotated[int, Field(ge=1, le=1_000_000)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Part(BaseModel):
    """A part of a message's content."""

    type: str
    text: str = ""


class Turn(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    @property
    def text(self) -> str:
        """What it says.

        Raises:
            InputError: it holds something else than text.
        """
        if isinstance(self.content, str):
            return self.content
        others = [part.type for part in self.content if part.type != "text"]
        if others:
            raise InputError(f"messages hold text alone, and here is {others[0]!r}; leave it out")
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What else a stream tells."""

    include_usage: bool = False


class ChatAsked(BaseModel):
    """A conversation whose last question is to be answered from the index.

    Fields that are not named here are left out of account.
    """

    model: str = Field(description="As GET /v1/models names it.")
    messages: list[Turn] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    n: int | None = Field(default=None, ge=1, le=1, description="One answer.")

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that end the answer."""
        given = self.stop or ()
        return (given,) if isinstance(given, str) else tuple(given)

    @property
    def longest(self) -> int | None:
        """Most tokens of the answer, where that is said."""
        return self.max_completion_tokens or self.max_tokens

    def parts(self) -> tuple[str | None, list[dict[str, str]], str]:
        """What the system says, what was said before, and the question.

        Raises:
            InputError: the last message is not the user's, or one is not text.
        """
        said = [(turn.role, turn.text) for turn in self.messages]
        system = "\n\n".join(text for role, text in said if role in ("system", "developer"))
        turns = [
            {"role": role, "content": text} for role, text in said if role in ("user", "assistant")
        ]
        if not turns or turns[-1]["role"] != "user":
            raise InputError("the last message must be the user's, which is the question")
        return system or None, turns[:-1], turns[-1]["content"]


class Message(BaseModel):
    """What the model wrote."""

    role: Literal["assistant"]
    content: str


class Choice(BaseModel):
    """An answer."""

    index: int
    message: Message
    finish_reason: Literal["stop", "length"]


class Usage(BaseModel):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatReply(BaseModel):
    """An answer; ``spans`` and ``citations`` are as in the reply of ``/answer``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    spans: list[dict[str, Any]]
    citations: list[dict[str, Any]]


class ModelEntry(BaseModel):
    """A model that may be asked."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsReply(BaseModel):
    """The models that may be asked: one."""

    object: Literal["list"]
    data: list[ModelEntry]
