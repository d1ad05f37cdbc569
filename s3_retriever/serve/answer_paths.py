"""``POST /answer``."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from s3_retriever.adapters.spans import span_json
from s3_retriever.serve.asked import AnswerAsked, check
from s3_retriever.serve.held import Held
from s3_retriever.serve.refusals import Json
from s3_retriever.serve.replies import AnswerReply
from s3_retriever.serve.turns import Turn
from s3_retriever.serve.waiting import EventStream, named, outcome
from s3_retriever.serve.writing import write


def answer_paths(held: Held) -> APIRouter:
    """The path that answers.

    Args:
        held: What is asked.
    """
    router = APIRouter(tags=["answer"])

    @router.post("/answer", response_model=AnswerReply)
    async def answer(asked: AnswerAsked, request: Request) -> Response:
        """Let the model answer from the spans it finds.

        Server-sent events, unless ``stream`` is false: ``place``, the place in the queue, whenever
        it changes; ``spans``, what the model is given; ``piece``, the next piece of the answer;
        ``citation``, where a sentence is complete that a span holds; ``done``, the whole reply; or
        ``error``. Who hangs up ends the answer.
        """
        check(asked.question, asked.filter, held.limits)
        held.index.check(asked.question, asked.filter)
        turn = held.turns.take(partial(_answered, held, asked), answer=True)
        if asked.stream:
            return EventStream(turn, named)
        return Json(await outcome(turn, request))

    return router


def _answered(held: Held, asked: AnswerAsked, turn: Turn) -> dict[str, Any]:
    settings = asked.given()
    stream = held.index.stream_answer(
        asked.question,
        filter=asked.filter,
        search={name: settings[name] for name in settings if name not in ("k", "token_budget")},
        cancelled=turn.cancelled,
        k=asked.k,
        token_budget=asked.token_budget,
        max_new_tokens=min(
            asked.max_new_tokens or held.index.answer_config.max_new_tokens, held.limits.new_tokens
        ),
        temperature=asked.temperature,
    )
    spans = [span_json(span) for span in stream.spans]
    turn.tell("spans", {"spans": spans, "seconds": {**stream.seconds, **stream.steps}})
    text, citations = write(stream, turn)
    return {
        "question": asked.question,
        "answer": text,
        "spans": spans,
        "citations": citations,
        "prompt_tokens": stream.prompt_tokens,
        "seconds": {**stream.seconds, **stream.steps},
    }
