"""``/v1``: any chat client, with answers grounded in the index."""

from functools import partial
from time import time
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from s3_retriever.adapters.spans import span_json
from s3_retriever.answering.prompt import INSTRUCTION
from s3_retriever.serve.asked import check
from s3_retriever.serve.chat_asked import ChatAsked, ChatReply, ModelEntry, ModelsReply
from s3_retriever.serve.held import Held
from s3_retriever.serve.refusals import Json, RefusedError, sentence_of
from s3_retriever.serve.turns import Done, Event, Failed, Turn
from s3_retriever.serve.waiting import STILL_HERE, EventStream, outcome, sse
from s3_retriever.serve.writing import write

END = b"data: [DONE]\n\n"


def chat_paths(held: Held) -> APIRouter:
    """The paths of OpenAI's interface.

    Args:
        held: What is asked.
    """
    router, begun = APIRouter(prefix="/v1", tags=["chat"]), int(time())

    @router.get("/models", response_model=ModelsReply)
    async def models() -> Response:
        """Name the model."""
        return Json({"object": "list", "data": [entry()]})

    @router.get("/models/{name:path}", response_model=ModelEntry)
    async def model(name: str) -> Response:
        """Tell of the model."""
        known(name)
        return Json(entry())

    @router.post("/chat/completions", response_model=ChatReply)
    async def completions(asked: ChatAsked, request: Request) -> Response:
        """Answer the last question of a conversation from the spans that the model finds.

        That question alone is searched for. The reply holds the spans, and where the answer rests
        on them, beside what OpenAI's has; in a stream they come with the first and last chunk.
        """
        known(asked.model)
        system, history, question = asked.parts()
        check(question, None, held.limits)
        held.index.check(question)
        head = {
            "id": f"chatcmpl-{uuid4().hex}",
            "created": int(time()),
            "model": held.index.backbone.name,
        }
        work = partial(_answered, held, asked, head, system, history, question)
        turn = held.turns.take(work, answer=True)
        if asked.stream:
            return EventStream(turn, partial(_chunk, asked, head))
        return Json(await outcome(turn, request))

    def entry() -> dict[str, Any]:
        name = held.index.backbone.name
        return {"id": name, "object": "model", "created": begun, "owned_by": "s3-retriever"}

    def known(name: str) -> None:
        own = held.index.backbone.name
        if name != own:
            raise RefusedError(404, f"there is no model {name!r}; the one here is {own!r}")

    return router


def _answered(
    held: Held,
    asked: ChatAsked,
    head: dict[str, Any],
    system: str | None,
    history: list[dict[str, str]],
    question: str,
    turn: Turn,
) -> dict[str, Any]:
    index = held.index
    longest = min(asked.longest or index.answer_config.max_new_tokens, held.limits.new_tokens)
    stream = index.stream_answer(
        question,
        history=history,
        cancelled=turn.cancelled,
        system=f"{INSTRUCTION}\n\n{system}" if system else None,
        max_new_tokens=longest,
        temperature=asked.temperature,
        stop=(*index.answer_config.stop, *asked.stops),
    )
    spans = [span_json(span) for span in stream.spans]
    turn.tell("spans", spans)
    text, citations = write(stream, turn)
    written = index.backbone.text.count(text)
    return {
        **head,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "length" if written >= longest else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": stream.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": stream.prompt_tokens + written,
        },
        "spans": spans,
        "citations": citations,
    }


def _chunk(asked: ChatAsked, head: dict[str, Any], event: Event) -> bytes:
    """An event as chunks of a streamed completion."""
    if isinstance(event, Failed):
        problem = {"message": sentence_of(event.error), "type": "server_error"}
        return sse({"error": problem}) + END
    chunk = {**head, "object": "chat.completion.chunk"}
    if isinstance(event, Done):
        result = event.result
        reason, cited = result["choices"][0]["finish_reason"], result["citations"]
        last = sse({**chunk, "choices": [_delta({}, reason)], "citations": cited})
        wanted = asked.stream_options is not None and asked.stream_options.include_usage
        usage = sse({**chunk, "choices": [], "usage": result["usage"]}) if wanted else b""
        return last + usage + END
    if event.name == "spans":
        first = _delta({"role": "assistant", "content": ""})
        return sse({**chunk, "choices": [first], "spans": event.data})
    if event.name == "piece":
        return sse({**chunk, "choices": [_delta({"content": event.data["text"]})]})
    return STILL_HERE


def _delta(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": reason}
