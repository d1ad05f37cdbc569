"""``POST /search`` and ``POST /heat``."""

from dataclasses import asdict
from functools import partial
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Request, Response

from s3_retriever.adapters import background
from s3_retriever.adapters.spans import span_json
from s3_retriever.serve.asked import HeatAsked, SearchAsked, check
from s3_retriever.serve.held import Held
from s3_retriever.serve.refusals import Json
from s3_retriever.serve.replies import HeatReply, SearchReply
from s3_retriever.serve.turns import Turn
from s3_retriever.serve.waiting import EventStream, named, outcome

DIGITS = 7
"""Decimals of a share of attention."""


def search_paths(held: Held) -> APIRouter:
    """The paths that find spans.

    Args:
        held: What is searched.
    """
    router = APIRouter(tags=["search"])

    @router.post("/search", response_model=SearchReply)
    async def search(asked: SearchAsked, request: Request) -> Response:
        """Find the spans that the model attends to when it reads a question.

        With ``Accept: text/event-stream`` the place in the queue comes as events ``place``, and
        the reply as the event ``done``.
        """
        check(asked.question, asked.filter, held.limits)
        held.index.check(asked.question, asked.filter)
        if asked.ranker is not None:
            return Json(await background.run(_compared, held, asked))
        turn = held.turns.take(partial(_found, held, asked))
        if wants_events(request):
            return EventStream(turn, named)
        return Json(await outcome(turn, request))

    @router.post("/heat", response_model=HeatReply)
    async def heat(asked: HeatAsked) -> Response:
        """Tell which tokens of some places the words of a question attend to."""
        check(asked.question, None, held.limits)
        return Json(await background.run(_heat, held, asked))

    return router


def wants_events(request: Request) -> bool:
    """Whether a client asks for server-sent events."""
    return "text/event-stream" in request.headers.get("accept", "")


def _found(held: Held, asked: SearchAsked, turn: Turn) -> dict[str, Any]:
    settings = {**asked.given(), "order": asked.order}
    found = held.index.search(asked.question, filter=asked.filter, **settings)
    return {
        "question": asked.question,
        "spans": [span_json(span) for span in found.spans],
        "seconds": asdict(found.seconds),
    }


def _compared(held: Held, asked: SearchAsked) -> dict[str, Any]:
    begun = perf_counter()
    other = held.other(asked.ranker or "")
    spans = other.spans(asked.question, asked.k or held.index.config.k, asked.filter)
    return {
        "question": asked.question,
        "spans": [span_json(span) for span in spans],
        "seconds": {"search": perf_counter() - begun},
    }


def _heat(held: Held, asked: HeatAsked) -> dict[str, Any]:
    words, places = held.index.heat(asked.question, asked.places)
    return {
        "words": words,
        "places": [
            {"ends": heat.ends.tolist(), "shares": heat.shares.round(DIGITS).tolist()}
            for heat in places
        ],
    }
